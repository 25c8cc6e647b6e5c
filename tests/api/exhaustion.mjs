#!/usr/bin/env node
// What the city stands on is gone for a while: disk full, database gone. Writes are refused with
// 503, reads go on where they can, nothing that was acknowledged is lost, and service resumes by
// itself.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, skip, run } from '../lib/tap.mjs';
import { eventually, startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-exhaustion-'));
const mounts = [];
const base = process.env.MARUGOTO_TEST_PG;

const entity = (i, n) => ({ id: `urn:x:e-${i}`, type: 'Thing', n: { type: 'Property', value: n }, pad: { type: 'Property', value: 'x'.repeat(2000) } });

// Writes until told to stop; remembers what was acknowledged and what was refused.
function client(city) {
    const log = { acked: new Map(), refused: [], odd: [], going: true };
    log.ended = (async () => {
        for (let i = 0; log.going; i++) {
            const body = entity(i % 40, i);
            const answer = await city.post('/ngsi-ld/v1/entityOperations/upsert', [body]);
            if ([201, 204].includes(answer.status)) log.acked.set(body.id, i);
            else if (answer.status === 503) log.refused.push(answer);
            else log.odd.push(`${answer.status} ${answer.text}`);
        }
    })();
    log.stop = async () => {
        log.going = false;
        await log.ended;
    };
    return log;
}

async function allThere(city, acked) {
    for (const [id, n] of acked) {
        const { status, json } = await city.get(`/ngsi-ld/v1/entities/${id}?options=keyValues`);
        assert.equal(status, 200, id);
        assert.ok(json.n >= n, `${id}: ${n} was acknowledged, ${json.n} is there`);
    }
}

function isRefusal(answer) {
    assert.equal(answer.status, 503, answer.text);
    assert.ok(Number(answer.headers.get('retry-after')) > 0, 'Retry-After');
    assert.match(answer.headers.get('content-type'), /^application\/(problem\+)?json/);
    assert.equal(answer.json.status, 503);
    assert.ok(answer.json.title && answer.json.type, answer.text);
}

// fill() makes writing impossible, free() undoes it. The reads that must go on are tried between.
async function ordeal(city, fill, free) {
    const log = client(city);
    await eventually(() => log.acked.size >= 20);
    await fill();
    await eventually(() => log.refused.length >= 3, 20000);
    isRefusal(log.refused[0]);
    await eventually(async () => (await city.get('/readyz')).status === 503);
    isRefusal(await city.get('/readyz', { Accept: 'application/json' }));
    assert.equal((await city.get('/healthz')).status, 200, 'the process is alive');
    const one = await city.get('/ngsi-ld/v1/entities/urn:x:e-1?options=keyValues');
    assert.equal(one.status, 200, 'reads go on');
    assert.equal((await city.get('/ngsi-ld/v1/entities?type=Thing&limit=50')).json.length, log.acked.size);
    await log.stop();
    assert.deepEqual(log.odd, []);
    await allThere(city, log.acked);
    await free();
    await eventually(async () => (await city.get('/readyz')).status === 200, 20000);
    const again = client(city);
    await eventually(() => again.acked.size >= 40);
    await again.stop();
    assert.deepEqual([again.odd, again.refused], [[], []]);
    await allThere(city, again.acked);
}

function tmpfs(name, size) {
    const at = path.join(folder, name);
    mkdirSync(at);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', at]).status !== 0)
        skip('mounting a small file system is not allowed here');
    mounts.push(at);
    return at;
}

const checked = (data) => {
    const { code, out, err } = command(['check', '--data', data, '--store', `sqlite:${data}/city.db`, '--app.log_level=warn']);
    assert.equal(code, 0, out + err);
};

function fillUp(at) {
    const file = path.join(at, 'filler');
    for (const size of [65536, 4096, 512])
        try {
            for (;;) appendFileSync(file, Buffer.alloc(size));
        } catch (error) {
            assert.equal(error.code, 'ENOSPC');
        }
    return file;
}

test('disk full: refused, readable, and well again when there is space', async () => {
    const data = tmpfs('small', '24m');
    const city = await startCity({ data, store: `sqlite:${data}/city.db` });
    await ordeal(city, () => fillUp(data), () => unlinkSync(path.join(data, 'filler')));
    await city.stop();
    checked(data);
});

test('killed on a full disk: what was acknowledged is there after the next start', async () => {
    const data = tmpfs('killed', '24m');
    const first = await startCity({ data, store: `sqlite:${data}/city.db` });
    const log = client(first);
    await eventually(() => log.acked.size >= 40);
    fillUp(data);
    await eventually(() => log.refused.length >= 1, 20000);
    await log.stop();
    await first.kill();
    // On the full disk it starts or says why not; it never starts with less than it had.
    const started = await startCity({ data, store: `sqlite:${data}/city.db` }).catch((error) => error);
    if (started instanceof Error) {
        assert.match(started.message, /ended at start \(1\): .*(full|space|I\/O)/s);
    } else {
        await allThere(started, log.acked);
        assert.equal((await started.end('SIGTERM')).code, 0, started.errors);
    }
    unlinkSync(path.join(data, 'filler'));
    const city = await startCity({ data, store: `sqlite:${data}/city.db` });
    await allThere(city, log.acked);
    assert.equal((await city.post('/ngsi-ld/v1/entities', entity('new', 1))).status, 201);
    await city.stop();
    checked(data);
});

test('a file that may not grow (RLIMIT_FSIZE) is a full disk', async () => {
    const data = path.join(folder, 'limit');
    const city = await startCity({ data, store: `sqlite:${data}/city.db` });
    const limit = (n) => {
        const done = spawnSync('prlimit', ['--pid', String(city.pid), `--fsize=${n}`], { encoding: 'utf8' });
        assert.equal(done.status, 0, done.stderr);
    };
    await ordeal(city, () => limit(`${statSync(path.join(data, 'city.db-wal')).size}:unlimited`), () => limit('unlimited:unlimited'));
    await city.stop();
    checked(data);
});

// Between city and database: a wire that can be cut.
class Wire {
    sockets = new Set();
    open = true;

    async listen(target) {
        this.server = net.createServer((near) => {
            if (!this.open) return void near.destroy();
            const far = net.connect(Number(target.port), target.hostname);
            for (const [from, to] of [[near, far], [far, near]]) {
                this.sockets.add(from);
                from.on('error', () => to.destroy());
                from.on('close', () => {
                    this.sockets.delete(from);
                    to.destroy();
                });
                from.pipe(to);
            }
        });
        await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
        this.port = this.server.address().port;
    }

    cut() {
        this.open = false;
        for (const socket of this.sockets) socket.destroy();
    }

    mend() {
        this.open = true;
    }

    close() {
        this.cut();
        this.server.close();
    }
}

test('database gone: refused, and well again when it is back', async () => {
    if (!base) skip('needs a PostgreSQL: tests/lib/pg.sh');
    const name = `t_gone_${process.pid}`;
    const psql = (text) => spawnSync('psql', ['-q', '-d', base, '-c', text], { encoding: 'utf8' });
    assert.equal(psql(`CREATE DATABASE ${name}`).status, 0);
    const wire = new Wire();
    await wire.listen(new URL(base));
    const url = new URL(base);
    url.port = wire.port;
    url.pathname = `/${name}`;
    const city = await startCity({ store: url.href, args: ['--store.reader_wait_ms=500'] });
    const log = client(city);
    await eventually(() => log.acked.size >= 20);
    wire.cut();
    await eventually(() => log.refused.length >= 3, 20000);
    isRefusal(log.refused.at(-1));
    await eventually(async () => (await city.get('/readyz')).status === 503);
    isRefusal(await city.get('/ngsi-ld/v1/entities/urn:x:e-1'));
    assert.equal((await city.get('/healthz')).status, 200);
    assert.equal((await city.get('/metrics')).status, 200);
    await log.stop();
    assert.deepEqual(log.odd, []);
    wire.mend();
    await eventually(async () => (await city.get('/readyz')).status === 200, 20000);
    await allThere(city, log.acked);
    const again = client(city);
    await eventually(() => again.acked.size >= 40);
    await again.stop();
    assert.deepEqual([again.odd, again.refused], [[], []]);
    await city.stop();
    wire.close();
    url.port = new URL(base).port; /* this process waits for the command: no wire */
    const { code, out, err } = command(['check', '--store', url.href, '--app.log_level=warn']);
    assert.equal(code, 0, out + err);
    psql(`DROP DATABASE ${name} WITH (FORCE)`);
});

test('a database that is not there is named at start', () => {
    const { code, err } = command(['serve', '--data', path.join(folder, 'pg'), '--port', '0', '--store', 'postgres://city:geheim@127.0.0.1:1/none', '--app.log_level=off']);
    assert.equal(code, 1);
    assert.match(err, /127\.0\.0\.1.*port 1/s);
    assert.doesNotMatch(err, /geheim/);
});

await run(() => {
    for (const at of mounts) spawnSync('umount', ['-l', at]);
    rmSync(folder, { recursive: true, force: true });
});
