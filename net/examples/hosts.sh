#!/bin/sh
# Several hosts on one machine: a network namespace each, a virtual cable each, mutual TLS, and the
# bytes that went over the cables. Needs root and iproute2; nftables for LOSS, Python for DELAY.
#
#   [RATE=kbit] [DELAY=ms] [LOSS=percent] [KILL=seconds] net/examples/hosts.sh FILE.toml [N]
#
# N honest workers (3). RATE bounds what each worker sends, DELAY is added each way by a relay on its
# host, LOSS is the share of packets that are dropped at the server's cable. KILL ends a worker after so
# many seconds, without a word (-9), and starts it again.
set -eu
file=$(realpath "$1")
n=${2:-3}
here=$(cd "$(dirname "$0")" && pwd)
varangian=${VARANGIAN:-varangian}
place=$(mktemp -d)
down() {
    for host in $(seq 0 "$n"); do
        ip netns pids "vh$host" 2>/dev/null | xargs -r kill 2>/dev/null || true
        ip netns del "vh$host" 2>/dev/null || true
    done
    ip link del vbridge 2>/dev/null || true
}
trap 'down; rm -rf "$place"' EXIT
trap 'exit 1' INT TERM
down
ip link add vbridge type bridge
ip link set vbridge up
for host in $(seq 0 "$n"); do
    ip netns add "vh$host"
    ip link add "vh$host" type veth peer name eth0 netns "vh$host"
    ip link set "vh$host" master vbridge up
    ip -n "vh$host" addr add "10.77.0.$((host + 1))/24" dev eth0
    ip -n "vh$host" link set eth0 up
    ip -n "vh$host" link set lo up
    if [ -n "${RATE:-}" ] && [ "$host" -gt 0 ]; then
        ip netns exec "vh$host" tc qdisc add dev eth0 root tbf rate "${RATE}kbit" burst 32k latency 400ms
    fi
done
if [ -n "${LOSS:-}" ]; then
    ip netns exec vh0 nft "table inet loss { chain input { type filter hook input priority 0;
        iifname eth0 numgen random mod 1000 < $((LOSS * 10)) counter drop; }; }"
fi
cd "$place"
"$varangian" ca init ca >/dev/null
"$varangian" ca server server --dir ca --host 10.77.0.1 >/dev/null
for worker in $(seq 1 "$n"); do
    "$varangian" ca issue "worker-$worker" --dir ca --id "$((worker - 1))" >/dev/null
done
ip netns exec vh0 "$varangian" serve "$file" --set "n=$n" --listen 10.77.0.1:7070 --tls ca \
    --out served --quiet --log text 2>server.log &
server=$!
# work NUMBER: its worker, over a relay where there is a delay.
work() {
    to=10.77.0.1:7070
    if [ -n "${DELAY:-}" ]; then
        to=127.0.0.1:7070
        ip netns pids "vh$1" | grep -q . || {
            ip netns exec "vh$1" python3 "$here/relay.py" "$to" 10.77.0.1:7070 "0.$(printf %03d "$DELAY")" &
        }
    fi
    ip netns exec "vh$1" "$varangian" work --server "$to" --server-name 10.77.0.1 --tls ca \
        --name "worker-$1" --state "worker-$1.state" --quiet --threads 1 2>>"worker-$1.log" &
    worker=$!
}
for host in $(seq 1 "$n"); do work "$host"; done
if [ -n "${KILL:-}" ]; then
    sleep "$KILL"
    kill -9 "$worker"
    echo "worker $n is killed, and started again"
    work "$n"
fi
wait "$server" || { cat server.log; exit 1; }
"$varangian" results served
for worker in $(seq 1 "$n"); do
    set -- $(ip -n "vh$worker" -s link show eth0 | awk '/RX:|TX:/ { getline; print $1 }')
    echo "worker $worker: $2 bytes sent, $1 bytes received"
done
[ -z "${LOSS:-}" ] || ip netns exec vh0 nft list ruleset | sed -n 's/.*counter packets \([0-9]*\).*/\1 packets were lost/p'
