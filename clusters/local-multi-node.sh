#!/usr/bin/env bash
# A Ray cluster of several nodes on this machine, to try what a real one does. It costs nothing.
#
# start    clusters/local-multi-node.sh            (two nodes; the demo, rehearsed, as a submitted job)
#          NODES=3 CPUS=2 clusters/local-multi-node.sh python -m xmrc.tune --space FILE --set storage=DIR
# watch    it prints what the job prints
# stop     Ctrl-C: the job ends tidily, then the nodes
# go on    the same line with --resume at its end
# fetch    a relative storage of a job is under ~/xmrc
#
# Ray's nodes listen on all interfaces, but nothing is done for anybody without the token, which
# this script alone knows and which is gone with the cluster. Other clusters here are left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

nodes=${NODES:-2} cpus=${CPUS:-1}
words=("$@")
((${#words[@]})) || words=(python -m xmrc.tune --space search_spaces/demo.yaml --rehearse)

export RAY_USAGE_STATS_ENABLED=0 RAY_JOB_STOP_WAIT_TIME_S=60 RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nodes-XXXX") # Ray wants its path short
started=()
stop_nodes() {
  kill -TERM "${started[@]}" 2>/dev/null || true
  wait "${started[@]}" 2>/dev/null || true
  rm -rf "$scratch"
}
trap stop_nodes EXIT

free_ports() { # COUNT
  python -c 'import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(one.getsockname()[1] for one in held))' "$1"
}

# Nodes that share a folder would unpack a submitted clone over each other.
start_node() { # WORD...
  local agent metrics
  read -r agent metrics < <(free_ports 2)
  ray start --block --num-cpus="$cpus" --temp-dir="$scratch/${#started[@]}" \
    --dashboard-agent-listen-port="$agent" --metrics-export-port="$metrics" "$@" \
    >>"$scratch/nodes.log" 2>&1 &
  started+=($!)
}

read -r port dashboard < <(free_ports 2)
start_node --head --port="$port" --dashboard-port="$dashboard"
until ray health-check --address "127.0.0.1:$port" >/dev/null 2>&1; do
  kill -0 "${started[0]}" || { cat "$scratch/nodes.log" >&2; exit 1; }
  sleep 0.5
done
for ((number = 2; number <= nodes; number++)); do start_node --address="127.0.0.1:$port"; done
living() { ray list nodes --address="http://127.0.0.1:$dashboard" --filter state=ALIVE --format json; }
until (($(living 2>/dev/null | grep -o '"node_id"' | wc -l) >= nodes)); do sleep 0.5; done
echo "$nodes nodes of $cpus CPU, dashboard http://127.0.0.1:$dashboard"

export RAY_API_SERVER_ADDRESS="http://127.0.0.1:$dashboard"
trap 'ray job stop search; exit 130' INT TERM
ray job submit --submission-id search --working-dir . -- "${words[@]}"
