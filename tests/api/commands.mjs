#!/usr/bin/env node
// The command line: what it offers, what it refuses, and with which words.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, skip, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-commands-'));
const file = (name) => path.join(folder, name);
const quiet = ['--app.log_level=off'];

test('--help behind a command explains it and does nothing', () => {
    const { out } = command(['--help']);
    const names = out.split('\n').map((line) => /^ {2}([a-z]+) /.exec(line)?.[1]).filter((name) => name && out.indexOf(`  ${name} `) < out.indexOf('options of all'));
    assert.ok(names.length > 10, `${names}`);
    for (const name of names)
        for (const flag of ['--help', '-h']) {
            if (flag === '-h' && ['audit', 'account'].includes(name)) continue;
            const answer = command([name, flag]);
            assert.equal(answer.code, 0, `${name} ${flag}: ${answer.err}`);
            assert.match(answer.out, /usage: /, name);
            assert.equal(answer.err, '', name);
        }
    assert.match(command(['migrate', 'orion', '--help']).out, /--dry-run/);
    assert.equal(existsSync('--help'), false);
});

test('--help lists every command and explains each', () => {
    const { code, out } = command(['--help']);
    assert.equal(code, 0);
    for (const name of ['serve', 'import', 'backup', 'restore', 'check', 'config'])
        assert.match(out, new RegExp(`^  ${name} .*  [a-z]`, 'm'), name);
    assert.equal(command(['help']).out, out);
    assert.equal(command(['-h']).out, out);
});

test('without a command the usage goes to standard error, status 2', () => {
    const { code, out, err } = command([]);
    assert.equal(code, 2);
    assert.equal(out, '');
    assert.match(err, /usage: marugoto COMMAND/);
});

test('--version names program and version', () => {
    const { code, out } = command(['--version']);
    assert.equal(code, 0);
    assert.match(out, /^marugoto \d+\.\d+\.\d+\n$/);
});

test('an unknown command ends with status 2 and its name', () => {
    const { code, out, err } = command(['srve']);
    assert.equal(code, 2);
    assert.equal(out, '');
    assert.match(err, /no command "srve"/);
});

test('unknown options and arguments of each command are named, status 2', () => {
    for (const args of [['serve', '--prot', '80'], ['serve', 'now'], ['check', 'all'], ['check', '--deep'],
        ['backup'], ['backup', 'a', 'b'], ['restore'], ['restore', 'a', 'b'], ['restore', 'a', '--froce'],
        ['config', '--html'], ['import'], ['serve', '--port'], ['serve', '--config']]) {
        const { code, err } = command([args[0], '--data', file('never'), ...args.slice(1)]);
        assert.equal(code, 2, `${args.join(' ')}: ${code} ${err}`);
        assert.match(err, /^(marugoto|usage)/, args.join(' '));
    }
    assert.ok(!existsSync(file('never')), 'a refused command made the data folder');
});

test('backup and check of a store that is not there make none', () => {
    for (const args of [['check'], ['backup', file('none.backup')]]) {
        const { code, err } = command([...args, '--data', file('missing')]);
        assert.equal(code, 1);
        assert.match(err, /no store at .*missing\/city\.db/);
    }
    assert.ok(!existsSync(file('missing')));
    assert.ok(!existsSync(file('none.backup')));
});

test('a second process on the same data is refused and told why', async () => {
    const data = file('twice');
    const city = await startCity({ data, store: `sqlite:${data}/city.db` });
    const { code, err } = command(['serve', '--data', data, '--port', '0', ...quiet]);
    assert.equal(code, 1);
    assert.match(err, /twice\/city\.db is in use by another process/);
    assert.equal((await city.get('/healthz')).status, 200);
    await city.stop();
});

test('a port in use is named', async () => {
    const holder = net.createServer();
    await new Promise((done) => holder.listen(0, '127.0.0.1', done));
    const { port } = holder.address();
    const { code, err } = command(['serve', '--data', file('port'), '--port', String(port), '--address', '127.0.0.1', ...quiet]);
    holder.close();
    assert.equal(code, 1);
    assert.match(err, new RegExp(`cannot listen on 127\\.0\\.0\\.1 port ${port}: Address already in use`));
});

test('an address that is none is named', () => {
    const { code, err } = command(['serve', '--data', file('port'), '--port', '0', '--address', 'here', ...quiet]);
    assert.equal(code, 1);
    assert.match(err, /http\.address "here"/);
});

test('a data folder that cannot be made is named', () => {
    const { code, err } = command(['serve', '--data', '/proc/none/city', '--port', '0']);
    assert.equal(code, 1);
    assert.match(err, /cannot make the folder \/proc\/none/);
});

test('an empty store URL is a file in the data folder, and only its owner may read it', async () => {
    const data = file('own');
    if (process.env.MARUGOTO_TEST_PG) skip('sets a store');
    const city = await startCity({ data });
    assert.equal(statSync(path.join(data, 'city.db')).mode & 0o777, 0o600);
    await city.stop();
});

test('a store URL of no known kind is refused without being shown', () => {
    const { code, err } = command(['serve', '--data', file('url'), '--store', 'mysql://root:secret@db/city', ...quiet]);
    assert.equal(code, 1);
    assert.match(err, /neither sqlite:PATH nor postgres:/);
    assert.doesNotMatch(err, /secret/);
});

test('SIGTERM and SIGINT end it with status 0', async () => {
    for (const signal of ['SIGTERM', 'SIGINT']) {
        const city = await startCity();
        const end = await city.end(signal);
        assert.deepEqual(end, { code: 0, signal: null }, `${signal}: ${city.errors}`);
        rmSync(city.dir, { recursive: true, force: true });
    }
});

test('SIGTERM ends open streams within the grace', async () => {
    const city = await startCity();
    const streams = [];
    for (let i = 0; i < 5; i++) {
        const answer = await fetch(`${city.url}/link/v1/stream`, { headers: { Accept: 'text/event-stream' } });
        assert.equal(answer.status, 200);
        streams.push(answer.body.getReader());
    }
    const reading = streams.map(async (reader) => {
        try {
            while (!(await reader.read()).done) continue;
        } catch { /* cut: as good as ended */ }
    });
    const begin = Date.now();
    await city.stop();
    await Promise.all(reading);
    assert.ok(Date.now() - begin < 10000, `took ${Date.now() - begin} ms`);
});

test('SIGTERM lets running requests end', async () => {
    const city = await startCity();
    const writes = [];
    for (let i = 0; i < 50; i++)
        writes.push(city.post('/ngsi-ld/v1/entities', { id: `urn:x:stop-${i}`, type: 'Stop' })
            .then((answer) => answer.status, (error) => error.cause?.code ?? 'closed'));
    await Promise.race(writes);
    const end = await city.end('SIGTERM');
    assert.equal(end.code, 0, city.errors);
    for (const status of await Promise.all(writes))
        assert.ok(status === 201 || status === 503 || typeof status === 'string', `status ${status}`);
    rmSync(city.dir, { recursive: true, force: true });
});

await run(() => rmSync(folder, { recursive: true, force: true }));
