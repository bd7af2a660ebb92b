"""SQLite FTS5 over plaintext as the peer of bench/search.ts.

Reads a corpus file (u32 little-endian: documents, keywords a document, then the keyword numbers) and a JSON
list of queries (keyword numbers) from the command line; prints one JSON object. The index is contentless with
detail=none, its smallest and fastest form for boolean queries; a query returns count and sum of the matching
row ids, which is less work than returning them.
"""
import array
import json
import os
import sqlite3
import sys
import tempfile
import time


def main() -> None:
    corpus, queries, runs = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    numbers = array.array("I")
    with open(corpus, "rb") as handle:
        numbers.frombytes(handle.read())
    documents, width = numbers[0], numbers[1]
    rows = [
        (i, " ".join(f"k{n}" for n in numbers[2 + i * width : 2 + (i + 1) * width])) for i in range(documents)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fts.db")
        db = sqlite3.connect(path)
        db.execute("pragma journal_mode=off")
        db.execute("pragma synchronous=off")
        db.execute("create virtual table t using fts5(w, content='', detail=none)")
        begin = time.perf_counter()
        db.executemany("insert into t(rowid, w) values (?, ?)", rows)
        db.commit()
        build_s = time.perf_counter() - begin
        db.execute("insert into t(t) values ('optimize')")
        db.commit()
        size = os.path.getsize(path)
        answers = []
        for query in queries:
            text = " AND ".join(f"k{n}" for n in query)
            times = []
            cpu = time.process_time()
            for _ in range(runs):
                begin = time.perf_counter()
                count, total = db.execute("select count(*), sum(rowid) from t where t match ?", (text,)).fetchone()
                times.append((time.perf_counter() - begin) * 1000)
            cpu_ms = (time.process_time() - cpu) * 1000 / runs
            answers.append({"hits": count, "sum": total or 0, "ms": sorted(times), "cpu_ms": cpu_ms})
        db.close()
    print(json.dumps({"version": sqlite3.sqlite_version, "build_s": build_s, "bytes": size, "answers": answers}))


if __name__ == "__main__":
    main()
