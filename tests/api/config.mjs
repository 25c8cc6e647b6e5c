#!/usr/bin/env node
// Settings: file, environment, command line, secrets; docs/CONFIGURATION.md is what the program says.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { root, startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-config-'));
const file = (name, text) => {
    const at = path.join(folder, name);
    if (text !== undefined) writeFileSync(at, text);
    return at;
};
// Settings are read before anything is opened: a refused one ends `check` with status 2.
const refused = (args, env) => {
    const { code, err } = command(['check', '--data', file('none'), ...args], { env });
    assert.equal(code, 2, err);
    return err;
};

test('docs/CONFIGURATION.md is up to date (else: marugoto config --markdown > docs/CONFIGURATION.md)', () => {
    const { code, out } = command(['config', '--markdown']);
    assert.equal(code, 0);
    assert.equal(readFileSync(path.join(root, 'docs/CONFIGURATION.md'), 'utf8'), out);
});

test('every setting has a default, bounds and a meaning, and no path of the machine it was built on', () => {
    const { out } = command(['config', '--markdown']);
    const rows = out.split('\n').filter((line) => line.startsWith('| `'));
    assert.ok(rows.length > 40, `${rows.length} settings`);
    const names = rows.map((row) => /^\| `([a-z]+\.[a-z0-9_]+)` \| `(MARUGOTO_[A-Z0-9_]+)` \|/.exec(row));
    names.forEach((match, i) => assert.ok(match, rows[i]));
    assert.equal(new Set(names.map((match) => match[1])).size, rows.length);
    for (const row of rows) assert.match(row, /\| [^|]{5,} \|$/, row);
    assert.ok(!out.includes(root), 'a path of the build');
    const { out: plain } = command(['config']);
    for (const [, name] of names) assert.ok(plain.includes(`--${name}=`), name);
});

test('a fault in a file is told with file and line', () => {
    const unknown = file('unknown.conf', '# a comment\n\nhttp.port = 8081\nhttp.prot = 1\n');
    assert.match(refused(['--config', unknown]), /unknown\.conf:4: unknown name "http\.prot"/);
    const number = file('number.conf', 'http.port = eighty\n');
    assert.match(refused(['--config', number]), /number\.conf:1: http\.port: expected a whole number \(0 to 65535\), not "eighty"/);
    const line = file('line.conf', 'http.port = 80\nhttp.address\n');
    assert.match(refused(['--config', line]), /line\.conf:2: expected "name = value"/);
    assert.match(refused(['--config', file('absent.conf')]), /cannot open .*absent\.conf: No such file/);
    assert.match(refused(['--config', folder]), /is not a regular file/);
});

test('a fault in the environment or on the command line says so', () => {
    assert.match(refused([], { MARUGOTO_HTTP_PORT: '70000' }), /environment: http\.port: .*not "70000"/);
    assert.match(refused([], { MARUGOTO_HTTP_PROT: '1' }), /environment: unknown name "MARUGOTO_HTTP_PROT"/);
    assert.match(refused(['--http.port=-1']), /command line: http\.port/);
    assert.match(refused(['--http.prot=1']), /command line: unknown name "http\.prot"/);
    assert.match(refused(['--link.history=maybe']), /command line: link\.history: expected true or false/);
    assert.match(refused(['--http.body_bytes=4x']), /expected a number of bytes/);
    assert.match(refused(Array.from({ length: 70 }, () => '--http.port=1')), /more than \d+ options/);
});

test('the command line counts more than the environment, that more than the file', async () => {
    const conf = file('order.conf', 'link.page_default = 2\nlink.page_max = 2\nlink.batch_max = 2\n');
    const city = await startCity({ args: ['--config', conf, '--link.page_default=4'],
        env: { MARUGOTO_LINK_PAGE_DEFAULT: '3', MARUGOTO_LINK_PAGE_MAX: '9' } });
    const send = (from, n) => city.post('/ngsi-ld/v1/entityOperations/create',
        Array.from({ length: n }, (_, i) => ({ id: `urn:x:order-${from + i}`, type: 'Order' })));
    for (let i = 0; i < 6; i += 2) assert.equal((await send(i, 2)).status, 201);
    assert.ok((await send(100, 3)).status >= 400, 'batch_max of the file');
    assert.equal((await city.get('/ngsi-ld/v1/entities?type=Order')).json.length, 4, 'command line');
    assert.equal((await city.get('/ngsi-ld/v1/entities?type=Order&limit=6')).json.length, 6, 'environment');
    await city.stop();
});

test('a secret is read from its file and never shown', async () => {
    const data = path.join(folder, 'secret');
    const url = file('url', `sqlite:${data}/elsewhere.db\n`);
    const city = await startCity({ data, store: `file:${url}` });
    assert.ok(existsSync(path.join(data, 'elsewhere.db')));
    assert.ok(!existsSync(path.join(data, 'city.db')));
    await city.stop();
    assert.match(refused(['--store', 'file:/nowhere/at/all']), /cannot open \/nowhere\/at\/all/);
    assert.doesNotMatch(command(['config'], { env: { MARUGOTO_STORE_URL: 'postgres://u:geheim@h/d' } }).out, /geheim/);
});

test('other variables with our prefix are left alone', () => {
    const { code, err } = command(['check', '--data', file('none')], { env: { MARUGOTO_NOTE: 'x' } });
    assert.equal(code, 1, err);
    assert.match(err, /no store at/);
});

await run(() => rmSync(folder, { recursive: true, force: true }));
