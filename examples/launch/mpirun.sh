#!/bin/sh
# Trains with one process for each slot of mpirun: HOSTFILE=hosts NP=4 ./mpirun.sh config=FILE [path.to.key=value ...]
# Rank 0 leads, the others are its nodes; they meet in the run's folder, which all hosts share.
set -eu
# mpirun would bind each process to one core, and actors have threads
exec mpirun -np "${NP:-4}" ${HOSTFILE:+--hostfile "$HOSTFILE"} --bind-to none \
  npx cxmind launch -- train "$@"
