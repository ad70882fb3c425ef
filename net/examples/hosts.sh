#!/bin/sh
# Several hosts on one machine: a network namespace each, a virtual cable each, mutual TLS, and the
# bytes that went over the cables. Needs root and iproute2.
#
#   net/examples/hosts.sh FILE.toml [N [KBIT]]
#
# N honest workers (3), each behind a link of KBIT kilobits a second (as fast as it goes).
set -eu
file=$(realpath "$1")
n=${2:-3}
rate=${3:-}
varangian=${VARANGIAN:-varangian}
place=$(mktemp -d)
down() {
    for host in $(seq 0 "$n"); do
        ip netns pids "vh$host" 2>/dev/null | xargs -r kill 2>/dev/null || true
        ip netns del "vh$host" 2>/dev/null || true
    done
    ip link del vbridge 2>/dev/null || true
}
trap down EXIT INT TERM
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
    if [ -n "$rate" ] && [ "$host" -gt 0 ]; then
        ip netns exec "vh$host" tc qdisc add dev eth0 root tbf rate "${rate}kbit" burst 32k latency 400ms
    fi
done
cd "$place"
"$varangian" ca init ca >/dev/null
"$varangian" ca server server --dir ca --host 10.77.0.1 >/dev/null
for worker in $(seq 1 "$n"); do
    "$varangian" ca issue "worker-$worker" --dir ca --id "$((worker - 1))" >/dev/null
done
ip netns exec vh0 "$varangian" serve "$file" --set "n=$n" --listen 10.77.0.1:7070 --tls ca \
    --out served --quiet --log text 2>server.log &
server=$!
for worker in $(seq 1 "$n"); do
    ip netns exec "vh$worker" "$varangian" work --server 10.77.0.1:7070 --tls ca \
        --name "worker-$worker" --quiet --threads 1 &
done
wait "$server" || { cat server.log; exit 1; }
"$varangian" results served
for worker in $(seq 1 "$n"); do
    set -- $(ip -n "vh$worker" -s link show eth0 | awk '/RX:|TX:/ { getline; print $1 }')
    echo "worker $worker: $2 bytes sent, $1 bytes received"
done
rm -r "$place"
