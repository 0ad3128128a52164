#!/bin/sh
# Trains over the hosts of a hostfile, by ssh: HOSTFILE=hosts ./ssh.sh config=FILE [path.to.key=value ...]
# cxmind and everything the config names stand at the same paths on all hosts.
set -eu
exec npx cxmind launch --hostfile "${HOSTFILE:-$(dirname "$0")/hosts}" -- train "$@"
