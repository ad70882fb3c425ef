#!/bin/sh
# A server and eight workers as processes of this machine, three of them hostile (ALIE): a worker is
# killed and started again, the server is killed (-9) in the middle of a round and started again,
# and the run ends beside the same run in one process. With DATA, a folder with MNIST's files, on
# MNIST; without, on generated digits.
#
#   net/examples/loopback.sh [DATA]
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
varangian=${VARANGIAN:-varangian}
port=${PORT:-7171}
data=${1:+$(realpath "$1")}
set --
if [ -n "$data" ]; then set -- --data "$data"; else echo "no folder with MNIST: generated digits"; fi
place=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$place"' EXIT
trap 'exit 1' INT TERM
cd "$place"
cp "$here/experiments/served-mnist.toml" run.toml
[ -n "$data" ] || sed -i 's/"mnist"/"glyphs"/' run.toml
"$varangian" run run.toml "$@" --out lockstep --quiet

serve() {
    "$varangian" serve run.toml "$@" --insecure --listen 127.0.0.1:$port --out served --quiet \
        --checkpoint-steps 5 --deadline 30 --log text 2>>server.log &
    server=$!
}
# worker NUMBER: an honest one, which keeps its momentum in a file.
worker() {
    id=$1
    shift
    "$varangian" work --server 127.0.0.1:$port --worker "$id" --state "worker-$id.state" --threads 1 "$@" \
        2>>"worker-$id.log" &
    eval "worker_$id=$!"
}
step() {
    "$varangian" top served/admin.sock --once 2>/dev/null | sed -n 's/.*step \([0-9]*\).*/\1/p' | head -1
}
until_step() {
    while at=$(step); [ "${at:-0}" -lt "$1" ]; do
        kill -0 "$server" 2>/dev/null || { cat server.log; exit 1; }
        sleep 0.2
    done
    echo "step $at"
}

serve "$@"
for id in 0 1 2 3 4; do worker "$id" "$@"; done
"$varangian" work --server 127.0.0.1:$port --worker 5 --worker 6 --worker 7 --attack "alie z=1.5" --threads 1 \
    "$@" 2>>drill.log &
until_step 30
echo "worker 2 is killed"
kill -9 "$worker_2"
until_step 45
echo "worker 2 is started again"
worker 2 "$@"
until_step 60
echo "the server is killed"
kill -9 "$server"
sleep 1
serve "$@"
echo "the server is started again"
wait "$server" || { cat server.log; exit 1; }
for run in lockstep served; do
    echo "$run:"
    "$varangian" results "$run"
done
