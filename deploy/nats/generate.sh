#!/bin/sh
# Generates the rights of each role, and what passes between the accounts, for the actors of actors/: npm run permissions, which builds first.
set -e
cd "$(dirname "$0")/../.."
for role in publisher worker provisioner admin; do
  node dist/src/cli/main.js doctor --permissions "$role" actors > "deploy/nats/permissions/$role.conf"
done
for role in publisher worker; do
  node dist/src/cli/main.js doctor --permissions "$role" --account actors > "deploy/nats/permissions/$role-account.conf"
done
node dist/src/cli/main.js doctor --permissions provisioner,admin --account actors > deploy/nats/permissions/godwit-account.conf
