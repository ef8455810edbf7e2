"""Compares what `cargo lockdep report`, DuckDB and Spark find in the records of a synthetic fleet.

    check.py [--records N] [--spark]

Needs the package `duckdb`, and for `--spark`, `pyspark` and Java.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# How `cargo lockdep` is called, if it is not to be built first.
BUILT = os.environ.get("TOOL_LOCKDEP")
BUILD = ["cargo", "run", "--quiet", "--manifest-path", HERE / "../../Cargo.toml", "--package", "cargo-lockdep", "--"]
TOOL = [BUILT] if BUILT else BUILD


def statements(name):
    """Returns the statements of a file without comments."""
    lines = (HERE / name).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [statement for statement in text.split(";") if statement.strip()]


# Those that others read several times.
KEPT = ("orders", "gate_sets", "legs", "leg_records", "leg_gates", "links", "found_pairs", "found_triples")


def line(kind, *classes):
    return f"{kind}: {' | '.join(sorted(name for name in classes if name))}"


def of_report(folder):
    output = subprocess.run([*TOOL, "report", folder, "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    findings = json.loads(output.stdout)["findings"]
    return sorted(line(it["kind"], *{edge["held_class"] for edge in it["cycle"]}) for it in findings)


def of_duckdb(_):
    import duckdb

    for statement in statements("duckdb.sql") + statements("merge.sql"):
        for view in KEPT:
            statement = statement.replace(f"TEMP VIEW {view} AS", f"TEMP TABLE {view} AS")
        duckdb.sql(statement)
    return sorted(line(*row) for row in duckdb.sql("SELECT kind, class_1, class_2, class_3 FROM findings").fetchall())


def of_spark(_):
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[*]")
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": "8", "spark.driver.memory": "4g"}
    spark = builder.config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    for statement in statements("spark.sql") + statements("merge.sql"):
        spark.sql(statement)
        for view in KEPT:
            if f"VIEW {view} " in statement:
                spark.sql(f"CACHE TABLE {view}")
    rows = spark.sql("SELECT kind, class_1, class_2, class_3 FROM findings").collect()
    return sorted(line(*row) for row in rows)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--records", default="100000")
    options.add_argument("--spark", action="store_true")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        records = Path(folder) / "records"
        planted = subprocess.run(
            [sys.executable, HERE / "synthetic.py", records, options.records], stdout=subprocess.PIPE, check=True, text=True
        ).stdout.splitlines()
        subprocess.run([*TOOL, "records", records], stdout=open("orders.ndjson", "w"), check=True)
        expected = sorted(planted)
        failed = False
        for find in [of_report, of_duckdb] + [of_spark] * options.spark:
            begun = time.monotonic()
            found = find(records)
            name = find.__name__.removeprefix("of_")
            print(f"{name}: {len(found)} findings in {time.monotonic() - begun:.1f} s")
            for text in sorted(set(expected) - set(found))[:5]:
                print(f"  missed: {text}")
            for text in sorted(set(found) - set(expected))[:5]:
                print(f"  not planted: {text}")
            failed |= found != expected
        print(f"{len(expected)} were planted")
        sys.exit(failed)


if __name__ == "__main__":
    main()
