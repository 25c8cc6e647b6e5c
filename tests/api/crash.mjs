#!/usr/bin/env node
// Crash loop: the server is killed over and over while clients write. What was acknowledged is
// there after each start; each change reaches the subscriber at least once, in order per entity, and
// a repetition has the same notification id.
//
// MARUGOTO_CRASHES sets how often (default 100 in all).
import assert from 'node:assert/strict';
import http from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { eventually, sleep, startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';

const crashes = Number(process.env.MARUGOTO_CRASHES ?? 100);
const writersEach = 6;
const shared = ['--allow-private', '--link.notify_retry_max_s=1', '--link.notify_timeout_ms=2000'];

// The party that is told. Until it is `steady` it fails now and then, as receivers do: no answer,
// or 503.
class Receiver {
    steady = false;
    seen = new Map();    // notification id -> its data as text
    newest = new Map();  // entity id -> newest value
    values = new Map();  // entity id -> set of values that arrived
    faults = [];
    repeats = 0;
    calls = 0;

    async open() {
        this.server = http.createServer((req, res) => {
            let text = '';
            req.on('data', (piece) => { text += piece; });
            req.on('end', () => this.take(text, res));
        });
        await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
        this.url = `http://127.0.0.1:${this.server.address().port}/changes`;
    }

    take(text, res) {
        this.calls++;
        if (!this.steady && this.calls % 101 === 0) return void res.socket.destroy();
        if (!this.steady && this.calls % 67 === 0) return void res.writeHead(503).end();
        const told = JSON.parse(text);
        const data = JSON.stringify(told.data);
        if (this.seen.has(told.id)) {
            this.repeats++;
            if (this.seen.get(told.id) !== data) this.faults.push(`repetition of ${told.id} differs`);
        } else {
            this.seen.set(told.id, data);
            for (const entity of told.data) this.note(entity.id, entity.n.value);
        }
        res.writeHead(200).end();
    }

    note(id, value) {
        const before = this.newest.get(id) ?? 0;
        if (value <= before) this.faults.push(`${id}: ${value} after ${before}`);
        this.newest.set(id, Math.max(before, value));
        if (!this.values.has(id)) this.values.set(id, new Set());
        this.values.get(id).add(value);
    }

    close() {
        this.server.closeAllConnections();
        this.server.close();
    }
}

// One client: counts its entity up, and makes a small entity for every third step.
class Writer {
    constructor(name) {
        this.id = `urn:x:counter-${name}`;
        this.tried = 0;
        this.acked = 0;
        this.confirmed = new Set(); // values that were acknowledged
        this.made = [];
        this.unexpected = [];
    }

    async write(city, n) {
        const body = { n: { type: 'Property', value: n } };
        return this.acked && n % 2 ? city.patch(`/ngsi-ld/v1/entities/${this.id}/attrs`, body)
            : city.post('/ngsi-ld/v1/entityOperations/upsert?options=update', [{ id: this.id, type: 'Counter', ...body }]);
    }

    async run(city, going) {
        while (going()) {
            const n = this.tried = Math.max(this.tried, this.acked) + 1;
            const answer = await this.write(city, n);
            if (![201, 204].includes(answer.status)) {
                // Refusals while the server goes down are honest; anything else is not.
                if (answer.status !== 503) this.unexpected.push(`${answer.status} ${answer.text}`);
                continue;
            }
            this.acked = n;
            this.confirmed.add(n);
            if (n % 3) continue;
            const id = `${this.id}-${n}`;
            const made = await city.post('/ngsi-ld/v1/entities', { id, type: 'Trace', of: { type: 'Relationship', object: this.id } });
            if (made.status === 201) this.made.push(id);
        }
    }

    // After a restart the value on disk is the last acknowledged one, or one that was under way.
    async verify(city) {
        const { status, json } = await city.get(`/ngsi-ld/v1/entities/${this.id}?options=keyValues`);
        if (status === 404 && this.acked === 0) return;
        assert.equal(status, 200, `${this.id} acknowledged up to ${this.acked}`);
        assert.ok(json.n >= this.acked && json.n <= this.tried, `${this.id}: ${this.acked} acknowledged, ${json.n} there, ${this.tried} tried`);
        this.acked = json.n;
    }
}

async function subscribe(city, receiver) {
    const { status, text } = await city.post('/ngsi-ld/v1/subscriptions', { id: 'urn:x:sub', type: 'Subscription',
        entities: [{ type: 'Counter' }], notification: { endpoint: { uri: receiver.url, accept: 'application/json' } } });
    assert.equal(status, 201, text);
}

// One city through its share of crashes. Returns what to report.
async function ordeal(name, rounds) {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-crash-'));
    const receiver = new Receiver();
    await receiver.open();
    const writers = Array.from({ length: writersEach }, (_, i) => new Writer(`${name}-${i}`));
    let store;
    let told = 0;
    for (let round = 0; round < rounds; round++) {
        const city = await startCity({ data, store, args: shared });
        store ??= city.store ?? `sqlite:${data}/city.db`;
        if (round === 0) await subscribe(city, receiver);
        await Promise.all(writers.map((writer) => writer.verify(city)));
        let going = true;
        const writing = writers.map((writer) => writer.run(city, () => going).catch(() => {}));
        await sleep(60 + Math.random() * 140);
        await city.kill();
        going = false;
        await Promise.all(writing);
        assert.doesNotMatch(city.errors, /Sanitizer|runtime error/, city.errors);
    }
    const city = await startCity({ data, store, args: shared });
    receiver.steady = true;
    for (const writer of writers) {
        await writer.verify(city);
        assert.deepEqual(writer.unexpected, []);
        assert.ok(writer.confirmed.size >= rounds / 4, `${writer.id}: only ${writer.confirmed.size} writes were acknowledged`);
        for (let i = 0; i < writer.made.length; i += 50) {
            const ids = writer.made.slice(i, i + 50);
            const { json } = await city.get(`/ngsi-ld/v1/entities?type=Trace&limit=1000&options=keyValues&id=${ids.join(',')}`);
            assert.equal(json.length, ids.length, `${writer.id}: created entities are missing`);
        }
        const missing = () => [...writer.confirmed].filter((value) => !receiver.values.get(writer.id)?.has(value));
        await eventually(() => missing().length === 0, 30000).catch(() => {
            throw new Error(`${writer.id}: never told of ${missing().join(', ')} (of ${writer.acked})`);
        });
        told += writer.confirmed.size;
    }
    assert.deepEqual(receiver.faults, []);
    const end = await city.end('SIGTERM');
    assert.equal(end.code, 0, city.errors);
    const check = command(['check', '--data', data, '--store', store, '--app.log_level=warn']);
    assert.equal(check.code, 0, check.out + check.err);
    assert.match(check.out, /^0 findings$/m);
    receiver.close();
    rmSync(data, { recursive: true, force: true });
    return { told, repeats: receiver.repeats };
}

test(`${crashes} times kill -9 under load: every acknowledged write is there, every notification arrives in order`, async () => {
    const half = Math.ceil(crashes / 2);
    const results = await Promise.all([ordeal('a', half), ordeal('b', crashes - half)]);
    const told = results.reduce((sum, result) => sum + result.told, 0);
    const repeats = results.reduce((sum, result) => sum + result.repeats, 0);
    console.log(`# ${told} acknowledged changes, ${repeats} repeated notifications`);
});

test('a stop waits for the changes whose clients have left', async () => {
    for (let round = 0; round < 5; round++) {
        const city = await startCity({ args: ['--store.batch_max=1', '--http.stop_grace_s=1'] });
        const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
        let answered = 0;
        const requests = Array.from({ length: 200 }, (_, i) => {
            const req = http.request({ agent, port: city.port, method: 'POST', path: '/ngsi-ld/v1/entities', headers: { 'Content-Type': 'application/json' } }, (res) => { res.resume(); answered++; });
            req.on('error', () => {});
            req.end(JSON.stringify({ id: `urn:x:${i}`, type: 'Thing', v: { type: 'Property', value: i } }));
            return req;
        });
        await eventually(() => answered > 0, 30000, 1);
        for (const req of requests) req.destroy();
        await city.stop(); // fails unless it ends with 0
    }
});

await run();
