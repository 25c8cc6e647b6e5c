#!/usr/bin/env node
// The log of who read what, as a city publishes it and as its command checks it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-audit-'));
const state = path.join(folder, 'seen.json');
const city = await startCity({ args: ['--trust.log_origin=city.example/log'] });
const store = city.store ? ['--store', city.store] : [];
const audit = (args) => command(['audit', ...args, '--app.log_level=off']);
const key = audit(['key', '--data', city.dir]).out.trim();

test('the checkpoint is signed from the first moment', async () => {
    const { status, text, headers } = await city.get('/log/checkpoint');
    assert.equal(status, 200);
    assert.match(headers.get('content-type'), /^text\/plain/);
    assert.match(text, /^city\.example\/log\n0\n47DEQpj8HBSa\+\/TImW\+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— city\.example\/log \S+\n$/);
    assert.equal((await city.get('/log/key')).text.trim(), key);
});

test('the secret key is a file for its owner only', () => {
    const file = path.join(city.dir, 'log.key');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(readFileSync(file, 'utf8'), /^PRIVATE\+KEY\+city\.example\/log\+/);
    assert.doesNotMatch(key, /PRIVATE/);
});

test('anyone can check it against the key they know', () => {
    const seen = audit(['verify', `${city.url}/log/`, '--key', key, '--state', state, '--allow-private']);
    assert.equal(seen.code, 0, seen.err);
    assert.equal(seen.out, '0 entries hold\n');
    assert.deepEqual(JSON.parse(readFileSync(state, 'utf8')).peaks, []);
});

test('another key, a log that forgot, and a file that is no state are told', () => {
    const other = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
    const verify = (...args) => audit(['verify', `${city.url}/log`, ...args, '--allow-private']);
    assert.match(verify('--key', other).err, /no key that is known signed/);
    writeFileSync(state, JSON.stringify({ size: 1, peaks: ['47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='], checkpoint: '' }));
    const forgot = verify('--key', key, '--state', state);
    assert.equal(forgot.code, 1);
    assert.match(forgot.err, /fewer entries than it once showed/);
    writeFileSync(state, '{"size":1,"peaks":[]}');
    assert.match(verify('--key', key, '--state', state).err, /is not a file of/);
    assert.match(verify('--key', 'nonsense').err, /not a key of signed notes/);
    assert.match(audit(['verify', `${city.url}/log`, '--key', key]).err, /private|not allowed|address/);
});

test('the store is checked too', () => {
    const { code, out, err } = audit(['verify', '--data', city.dir, ...store]);
    assert.equal(code, 0, err);
    assert.equal(out, '0 entries, 0 findings\n');
});

test('wrong arguments end with the usage', () => {
    for (const args of [[], ['verify', 'http://x'], ['verify', '--key', key], ['key', 'x'], ['x'], ['verify', '--state', state]])
        assert.equal(audit(args).code, 2, args.join(' '));
    assert.equal(audit(['--help']).code, 0);
});

await run();
await city.stop();
rmSync(folder, { recursive: true, force: true });
