-- The rows of `cargo lockdep records DIR > orders.ndjson`, in the current folder.
CREATE OR REPLACE TEMP VIEW rows (
  record STRING, service STRING, host STRING, program STRING, test STRING, started BIGINT, thread STRING,
  held_key STRING, held_class STRING, held_name STRING, held_mode STRING, held_at STRING, held_lease BIGINT,
  held_may_be_elsewhere BOOLEAN, wanted_key STRING, wanted_class STRING, wanted_name STRING, wanted_mode STRING,
  wanted_lease BIGINT, acquired_at STRING, gates ARRAY<STRING>, gate_classes ARRAY<STRING>, own_gates ARRAY<STRING>,
  may_have_more_gates BOOLEAN, allowed STRING
) USING json OPTIONS (path 'orders.ndjson');

CREATE OR REPLACE TEMP VIEW orders AS
SELECT *, ARRAY_JOIN(gates, CHR(10)) AS gates_text, ARRAY_JOIN(gate_classes, CHR(10)) AS gate_classes_text,
  ARRAY_JOIN(own_gates, CHR(10)) AS own_gates_text
FROM rows;

CREATE OR REPLACE TEMP VIEW gate_sets AS
SELECT text AS gates_text, EXPLODE(SPLIT(text, CHR(10))) AS gate
FROM (
  SELECT gates_text AS text FROM orders
  UNION SELECT gate_classes_text FROM orders
  UNION SELECT own_gates_text FROM orders
) AS texts
WHERE text <> '';
