#!/usr/bin/env bash
# Tests docs/cluster.md with two hosts, which are network namespaces with different host names: the scheduler and the commands
# on one, a worker on the other, the data in a shared folder. Needs root. Usage: tools/two_hosts.sh FOLDER [CLIPS PER CLASS]
set -euo pipefail
share=$(realpath -m "$1"); clips=${2:-4}
one=gesta-one-$$ two=gesta-two-$$
ended() { kill $(jobs -p) 2>/dev/null || true; wait; ip netns del $one 2>/dev/null || true; ip netns del $two 2>/dev/null || true; }
trap ended EXIT
ip netns add $one; ip netns add $two
ip link add veth$$a netns $one type veth peer name veth$$b netns $two
for side in "$one a 10.99.0.1" "$two b 10.99.0.2"; do
  set -- $side
  ip -n $1 addr add $3/24 dev veth$$$2; ip -n $1 link set veth$$$2 up; ip -n $1 link set lo up
done
inside() { local name=$1; shift; exec ip netns exec "$name" unshare --uts bash -c 'hostname "$0"; exec "$@"' "$name" "$@"; }
on() { (inside "$@"); }

mkdir -p "$share"; cd "$share"; export GESTA_CACHE=$share/cache
[ -d data ] || gesta data make ucf101 data --people 5 --recordings "$clips" --classes 3 --size 64x64 --json
inside $one dask scheduler --host 10.99.0.1 --port 8786 --no-dashboard > scheduler.log 2>&1 &
inside $two dask worker tcp://10.99.0.1:8786 --nworkers 1 --nthreads 1 --no-dashboard > worker.log 2>&1 &
recipe=(--set training.epochs=1 --set model.width=0.25 --set training.batch=8)
cluster=(--cluster tcp://10.99.0.1:8786 --json)
on $one gesta features data --backbone resnet18 --weights random --size 32 --frames 4 --out features "${cluster[@]}"
on $one gesta data prepare data --recipe auto "${cluster[@]}"
on $one gesta crossval data --recipe auto "${recipe[@]}" --by 2 --out crossval "${cluster[@]}"
on $one gesta jobs crossval --all
on $one gesta jobs features --json

# the same on one host, without a cluster
GESTA_CACHE=$share/cache-here gesta features data --backbone resnet18 --weights random --size 32 --frames 4 --out features-here --json
GESTA_CACHE=$share/cache-here gesta data prepare data --recipe auto --json
cmp features/index.json features-here/index.json
for shard in features-here/*.safetensors; do cmp "$shard" "features/$(basename "$shard")"; done
diff -r cache/clips cache-here/clips
echo "two hosts and one host give the same bytes"
