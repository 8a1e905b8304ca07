#!/usr/bin/env bash
# Lets the oracle itself judge what netsim does, and compares its judgement with the native one:
#
#     cargo build && tests/conformance/cross-check.sh ORACLE.py [CASES [NAME…]]
#
# ORACLE.py is the tool that recorded the kernel; CASES a folder of cases (those of this directory unless given). One line
# for each case on which the two judgements differ, and a closing line. Status 0 if there is none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
oracle=$1
cases=${2:-$here/cases}
shift; shift || true
netsim=${NETSIM:-$here/../../target/debug/netsim}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
agree=0
differ=0
for dir in "$cases"/*/; do
    name=$(basename "$dir")
    if [ $# -gt 0 ] && ! printf '%s\n' "$@" | grep -qx "$name"; then continue; fi
    status=0
    "$netsim" conform "$dir/case.json" --raw "$out/raw.json" --pcap "$out/cap.pcapng" --golden "$dir/observed.json" \
        >"$out/native" 2>&1 || status=$?
    if [ $status -eq 2 ]; then
        echo "NOT RUN $name: $(head -1 "$out/native")"
        differ=$((differ + 1))
        continue
    fi
    python3 "$oracle" normalise "$dir/case.json" "$out/raw.json" "$out/cap.pcapng" >"$out/mine.json"
    verdict=0
    python3 "$oracle" diff "$dir/observed.json" "$out/mine.json" >"$out/judged" || verdict=$?
    if [ $status -eq $verdict ]; then
        agree=$((agree + 1))
    else
        echo "DISAGREE $name: native $status, oracle $verdict: $(head -1 "$out/judged") | $(head -1 "$out/native")"
        differ=$((differ + 1))
    fi
done
echo "cross-check: $agree agree, $differ do not"
[ $differ -eq 0 ]
