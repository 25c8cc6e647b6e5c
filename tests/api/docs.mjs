#!/usr/bin/env node
// docs/API.md: every command in it runs, in order, and answers with the status that stands below it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root, startCity } from '../lib/city.mjs';
import { test, run } from '../lib/tap.mjs';

const city = await startCity();
const text = readFileSync(path.join(root, 'docs/API.md'), 'utf8');
let found = 0;
for (const [, heading, section] of `\n${text}`.matchAll(/\n## ([^\n]+)\n([\s\S]*?)(?=\n## |$)/g)) {
    const commands = [...section.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => [...block.matchAll(/([\s\S]*?)\n# (\d{3})\n/g)]);
    const blocks = [...section.matchAll(/```sh/g)].length;
    found += commands.length;
    if (blocks)
        test(`API.md, ${heading}`, () => {
            for (const [, command, status] of commands) {
                const script = `curl() { command curl -sS -o /dev/null -w '%{http_code}' "$@"; }\n${command}`;
                const done = spawnSync('bash', ['-euc', script], { env: { ...process.env, CITY: city.url }, encoding: 'utf8' });
                assert.equal(done.stdout.trim() + done.stderr, status, command);
            }
        });
}
test('there are commands', () => assert.ok(found > 30));

await run(() => city.stop());
