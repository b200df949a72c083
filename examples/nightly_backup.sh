#!/usr/bin/env bash
# A backup every night, for cron or a timer of systemd:
#
#     nightly_backup.sh /etc/bankrmi/config.yaml /backups
#
# Once a week (WHOLE_EVERY nights) a whole one, and in between what came after the one before. Each chain is in a
# folder of its own: a whole backup, and its increments in their order. A chain is verified every night, and old
# chains go (KEPT_CHAINS are kept), once there is a newer one. Exit code 0: there is a backup of this night, and
# it is sound. Anything else is for somebody to look at; nothing that was there was touched.
set -euo pipefail

config=$1
folder=$2
whole_every=${WHOLE_EVERY:-7}
kept_chains=${KEPT_CHAINS:-4}
now=$(date -u +%Y%m%dT%H%M%S)

umask 077
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock -n 9 || { echo "another backup is under way in $folder" >&2; exit 1; }

mapfile -t chains < <(find "$folder" -mindepth 1 -maxdepth 1 -name 'chain-*' -type d | sort)
files=()
if [ ${#chains[@]} -gt 0 ]; then
  newest=${chains[-1]}
  mapfile -t files < <(find "$newest" -name '*.backup' | sort)
fi

if [ ${#files[@]} -eq 0 ] || [ ${#files[@]} -ge "$whole_every" ]; then
  chain="$folder/chain-$now"
  mkdir "$chain"
  # A backup that fails leaves no file; then no empty chain stays either.
  bankrmi --config "$config" backup "$chain/$now-whole.backup" || { rmdir "$chain"; exit 1; }
else
  chain=$newest
  bankrmi --config "$config" backup "$chain/$now-increment.backup" --since "${files[-1]}"
fi

mapfile -t files < <(find "$chain" -name '*.backup' | sort)
bankrmi verify "${files[@]}"

mapfile -t chains < <(find "$folder" -mindepth 1 -maxdepth 1 -name 'chain-*' -type d | sort)
for ((old = 0; old < ${#chains[@]} - kept_chains; old++)); do
  rm -r "${chains[old]}"
done
