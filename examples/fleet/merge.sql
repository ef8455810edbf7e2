-- Finds orders of resources that threads of several processes can wait for each other in, as `cargo lockdep report` does:
-- for DuckDB, Spark, and whatever else has the views of duckdb.sql or spark.sql.
--
-- A nesting: a thread held one resource and acquired another. What is not known to be held orders nothing.
CREATE OR REPLACE TEMP VIEW nestings AS
SELECT *
FROM orders
WHERE held_key IS NOT NULL
  AND wanted_key IS NOT NULL
  AND held_key <> wanted_key
  AND NOT EXISTS (
    SELECT 1
    FROM orders AS sent
    WHERE sent.held_may_be_elsewhere AND sent.held_class = orders.held_class AND sent.held_at = orders.held_at
  );

-- By key, and by class. A gate of a process keeps apart only those of one program.
CREATE OR REPLACE TEMP VIEW steps AS
SELECT 'key' AS level, held_key AS start, wanted_key AS target, held_class, wanted_class, held_mode, wanted_mode,
  gates_text, CASE WHEN own_gates_text = '' THEN '' ELSE program END AS own_program, own_gates_text,
  may_have_more_gates, record, service, started,
  GREATEST(COALESCE(held_lease, 0), COALESCE(wanted_lease, 0)) AS lease
FROM nestings
WHERE NOT may_have_more_gates
UNION ALL
SELECT 'class', held_class, wanted_class, held_class, wanted_class, held_mode, wanted_mode,
  gate_classes_text, CASE WHEN own_gates_text = '' THEN '' ELSE program END, own_gates_text, may_have_more_gates, record,
  service, started, 0
FROM nestings
WHERE held_class <> wanted_class;

-- What all sightings of a leg have in common.
CREATE OR REPLACE TEMP VIEW legs AS
SELECT ROW_NUMBER() OVER (
    ORDER BY level, start, target, held_mode, wanted_mode, gates_text, own_program, own_gates_text, may_have_more_gates
  ) AS leg, grouped.*
FROM (
  SELECT level, start, target, MIN(held_class) AS start_class, MIN(wanted_class) AS target_class, held_mode, wanted_mode,
    gates_text, own_program, own_gates_text, may_have_more_gates, COUNT(DISTINCT record) AS processes, COUNT(DISTINCT service) AS services,
    MIN(started) AS since, MAX(lease) AS lease
  FROM steps
  GROUP BY level, start, target, held_mode, wanted_mode, gates_text, own_program, own_gates_text, may_have_more_gates
) AS grouped;

CREATE OR REPLACE TEMP VIEW leg_records AS
SELECT DISTINCT legs.leg, steps.record, steps.service
FROM legs
JOIN steps
  ON steps.level = legs.level AND steps.start = legs.start AND steps.target = legs.target
  AND steps.held_mode = legs.held_mode AND steps.wanted_mode = legs.wanted_mode
  AND steps.gates_text = legs.gates_text AND steps.own_program = legs.own_program
  AND steps.own_gates_text = legs.own_gates_text AND steps.may_have_more_gates = legs.may_have_more_gates;

-- What keeps others out: the first resource itself, those held meanwhile, and the locks of the process.
CREATE OR REPLACE TEMP VIEW leg_gates AS
SELECT leg, start AS gate FROM legs WHERE held_mode = 'exclusive'
UNION
SELECT leg, gate FROM legs JOIN gate_sets ON gate_sets.gates_text = legs.gates_text
UNION
SELECT leg, CONCAT('own ', own_program, ' ', gate) FROM legs JOIN gate_sets ON gate_sets.gates_text = legs.own_gates_text;

-- Legs in which a thread holds further resources exclusively. What another thread holds for reading, which is not
-- recorded, may be one of these.
CREATE OR REPLACE TEMP VIEW gated_legs AS
SELECT DISTINCT leg
FROM legs
JOIN gate_sets ON gate_sets.gates_text = legs.gates_text
WHERE gate_sets.gate <> legs.start;

-- A thread at the end of the first leg waits for one at the begin of the second, and both can be there at once.
CREATE OR REPLACE TEMP VIEW links AS
SELECT one.level, one.leg AS one, next.leg AS next, one.start AS start, one.target AS middle, next.target AS target
FROM legs AS one
JOIN legs AS next ON next.level = one.level AND next.start = one.target
WHERE (
    next.held_mode = 'exclusive'
    OR one.wanted_mode = 'exclusive'
    OR one.wanted_mode = 'upgradable' AND next.held_mode = 'upgradable'
    OR one.wanted_mode = 'upgrade' AND next.held_mode = 'shared'
  )
  AND NOT EXISTS (
    SELECT 1 FROM leg_gates AS ours JOIN leg_gates AS theirs ON ours.gate = theirs.gate
    WHERE ours.leg = one.leg AND theirs.leg = next.leg
  )
  AND NOT (one.may_have_more_gates AND next.leg IN (SELECT leg FROM gated_legs))
  AND NOT (next.may_have_more_gates AND one.leg IN (SELECT leg FROM gated_legs));

-- Cycles of two and of three that no process has seen as a whole.
CREATE OR REPLACE TEMP VIEW pairs AS
SELECT there.level, there.one AS first, there.next AS second
FROM links AS there
JOIN links AS back ON back.one = there.next AND back.next = there.one
WHERE there.start < there.middle
  AND there.target = there.start
  AND NOT EXISTS (
    SELECT 1 FROM leg_records AS a JOIN leg_records AS b ON a.record = b.record
    WHERE a.leg = there.one AND b.leg = there.next
  );

CREATE OR REPLACE TEMP VIEW triples AS
SELECT ab.level, ab.one AS first, ab.next AS second, bc.next AS third
FROM links AS ab
JOIN links AS bc ON bc.one = ab.next
JOIN links AS ca ON ca.one = bc.next AND ca.next = ab.one
WHERE ab.start < ab.middle
  AND ab.start < bc.middle
  AND ab.middle <> bc.middle
  AND NOT EXISTS (
    SELECT 1 FROM leg_records AS a JOIN leg_records AS b ON a.record = b.record JOIN leg_records AS c ON a.record = c.record
    WHERE a.leg = ab.one AND b.leg = ab.next AND c.leg = bc.next
  );

-- Each finding by its classes: of two kinds of resources, many keys are one bug.
CREATE OR REPLACE TEMP VIEW found_pairs AS
SELECT pairs.level, LEAST(a.start_class, b.start_class) AS class_1, GREATEST(a.start_class, b.start_class) AS class_2,
  MAX(GREATEST(a.lease, b.lease)) AS lease, MIN(GREATEST(a.since, b.since)) AS since
FROM pairs
JOIN legs AS a ON a.leg = pairs.first
JOIN legs AS b ON b.leg = pairs.second
GROUP BY pairs.level, LEAST(a.start_class, b.start_class), GREATEST(a.start_class, b.start_class);

CREATE OR REPLACE TEMP VIEW found_triples AS
SELECT triples.level,
  LEAST(a.start_class, b.start_class, c.start_class) AS class_1,
  CASE
    WHEN a.start_class NOT IN (LEAST(a.start_class, b.start_class, c.start_class), GREATEST(a.start_class, b.start_class, c.start_class)) THEN a.start_class
    WHEN b.start_class NOT IN (LEAST(a.start_class, b.start_class, c.start_class), GREATEST(a.start_class, b.start_class, c.start_class)) THEN b.start_class
    ELSE c.start_class
  END AS class_2,
  GREATEST(a.start_class, b.start_class, c.start_class) AS class_3,
  MAX(GREATEST(a.lease, b.lease, c.lease)) AS lease, MIN(GREATEST(a.since, b.since, c.since)) AS since
FROM triples
JOIN legs AS a ON a.leg = triples.first
JOIN legs AS b ON b.leg = triples.second
JOIN legs AS c ON c.leg = triples.third
-- Unless two of them are a pair already.
WHERE NOT EXISTS (
  SELECT 1 FROM found_pairs AS pair
  WHERE pair.class_1 IN (a.start_class, b.start_class, c.start_class)
    AND pair.class_2 IN (a.start_class, b.start_class, c.start_class)
)
GROUP BY triples.level, 2, 3, 4;

CREATE OR REPLACE TEMP VIEW findings AS
SELECT CASE WHEN level = 'class' THEN 'class_inversion' WHEN lease > 0 THEN 'leased_inversion' ELSE 'inversion' END AS kind,
  class_1, class_2, '' AS class_3, since
FROM found_pairs AS found
WHERE level = 'key'
  OR NOT EXISTS (
    SELECT 1 FROM found_pairs AS certain
    WHERE certain.level = 'key' AND certain.class_1 = found.class_1 AND certain.class_2 = found.class_2
  )
UNION ALL
SELECT CASE WHEN level = 'class' THEN 'class_inversion' WHEN lease > 0 THEN 'leased_inversion' ELSE 'inversion' END,
  class_1, class_2, class_3, since
FROM found_triples AS found
WHERE level = 'key'
  OR NOT EXISTS (
    SELECT 1 FROM found_triples AS certain
    WHERE certain.level = 'key' AND certain.class_1 = found.class_1 AND certain.class_2 = found.class_2
      AND certain.class_3 = found.class_3
  );
