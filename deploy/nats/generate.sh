#!/bin/sh
# Generates the rights of each role for the actors of actors/: npm run permissions, which builds first.
set -e
cd "$(dirname "$0")/../.."
for role in publisher worker provisioner admin; do
  node dist/src/cli/main.js doctor --permissions "$role" actors > "deploy/nats/permissions/$role.conf"
done
