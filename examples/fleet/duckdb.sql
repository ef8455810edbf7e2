-- The rows of `cargo lockdep records DIR > orders.ndjson`, in the current folder.
CREATE OR REPLACE TEMP TABLE orders AS
SELECT *, ARRAY_TO_STRING(gates, CHR(10)) AS gates_text, ARRAY_TO_STRING(gate_classes, CHR(10)) AS gate_classes_text,
  ARRAY_TO_STRING(own_gates, CHR(10)) AS own_gates_text
FROM READ_JSON('orders.ndjson', format = 'newline_delimited', columns = {
  record: 'VARCHAR', service: 'VARCHAR', host: 'VARCHAR', program: 'VARCHAR', test: 'VARCHAR', started: 'BIGINT',
  thread: 'VARCHAR', held_key: 'VARCHAR', held_class: 'VARCHAR', held_name: 'VARCHAR', held_mode: 'VARCHAR',
  held_at: 'VARCHAR', held_lease: 'BIGINT', held_may_be_elsewhere: 'BOOLEAN', wanted_key: 'VARCHAR',
  wanted_class: 'VARCHAR', wanted_name: 'VARCHAR', wanted_mode: 'VARCHAR', wanted_lease: 'BIGINT',
  acquired_at: 'VARCHAR', gates: 'VARCHAR[]', gate_classes: 'VARCHAR[]', own_gates: 'VARCHAR[]',
  may_have_more_gates: 'BOOLEAN', allowed: 'VARCHAR'
});

CREATE OR REPLACE TEMP TABLE gate_sets AS
SELECT text AS gates_text, UNNEST(STRING_SPLIT(text, CHR(10))) AS gate
FROM (
  SELECT gates_text AS text FROM orders
  UNION SELECT gate_classes_text FROM orders
  UNION SELECT own_gates_text FROM orders
) AS texts
WHERE text <> '';
