#!/usr/bin/env node
// Several processes on one PostgreSQL: writes through all of them, one of them notifies, and another takes
// over when it is killed; what is kept in memory follows what others write; periodic work is done once.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { bin, eventually, sleep, startCity } from '../lib/city.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { run, skip, test } from '../lib/tap.mjs';

const shared = process.env.MARUGOTO_TEST_PG;
const args = ['--client.allow_private=true', '--link.notify_retry_max_s=2', '--app.log_level=info'];
const receiver = await startReceiver();
const cities = [];
const start = async (options = {}) => {
    if (!shared) skip('needs PostgreSQL');
    cities.push(await startCity({ args, ...options }));
    return cities.at(-1);
};
const pair = async () => {
    const first = await start();
    return [first, await start({ store: first.store })];
};
const sql = (city, text) => spawnSync('psql', ['-At', '-d', city.store, '-c', text], { encoding: 'utf8' }).stdout.trim();
const onDuty = (city, duty) => city.errors.split('\n').some((l) => l.includes('store.on_duty') && l.includes(duty));

const subscription = (name) => `urn:ngsi-ld:Subscription:${name}`;
const inTenant = (tenant) => ({ headers: tenant ? { 'NGSILD-Tenant': tenant } : {} });
const subscribe = async (city, name, tenant) => {
    const res = await city.post('/ngsi-ld/v1/subscriptions', {
        id: subscription(name), type: 'Subscription', entities: [{ type: 'Counter' }],
        notification: { format: 'keyValues', endpoint: { uri: `${receiver.url}/${name}` } },
    }, inTenant(tenant));
    assert.equal(res.status, 201, res.text);
};
const counter = (k) => `urn:ngsi-ld:Counter:${k}`;
const set = async (city, k, v, tenant) => {
    try {
        const res = await city.post('/ngsi-ld/v1/entityOperations/upsert?options=update',
            [{ id: counter(k), type: 'Counter', v: { type: 'Property', value: v } }], inTenant(tenant));
        return res.status === 201 || res.status === 204;
    } catch { return false; }
};

// In order for each entity, nothing of the acknowledged missing; how many came again, with the same id.
function check(got, acknowledged) {
    const ids = new Map(), last = new Map(), values = new Set();
    let repeats = 0;
    for (const { body } of got) {
        for (const e of body.data) {
            if (ids.has(body.id)) {
                repeats++;
                assert.equal(ids.get(body.id), `${e.id} ${e.v}`, 'a repetition has the same id and content');
                continue;
            }
            ids.set(body.id, `${e.id} ${e.v}`);
            assert.ok(e.v > (last.get(e.id) ?? -1), `${e.id}: ${e.v} after ${last.get(e.id)}`);
            last.set(e.id, e.v);
            values.add(`${e.id} ${e.v}`);
        }
    }
    for (const [k, v] of acknowledged) assert.ok(values.has(`${counter(k)} ${v}`), `${k}: ${v} is lost`);
    return repeats;
}

// A store that a killed process leaves behind has rows 1, 2, 3 ... of each tenant and chains that hold.
function checkJournal(city) {
    assert.equal(sql(city, `SELECT bool_and(rows = last) FROM
        (SELECT count(*) AS rows, max(pos & ((1::bigint << 40) - 1)) AS last FROM journal GROUP BY pos >> 40) t`), 't');
    const found = spawnSync(bin, ['check', '--data', city.dir, '--store', city.store], { encoding: 'utf8' });
    assert.equal(found.status, 0, found.stdout + found.stderr);
}

test('two processes write, one notifies: once, in order', async () => {
    const [a, b] = await pair();
    await subscribe(b, 'both');
    const acknowledged = [];
    for (let i = 0; i < 200; i++) {
        assert.ok(await set(i % 3 ? a : b, i % 4, i));
        acknowledged.push([i % 4, i]);
    }
    await eventually(() => receiver.got('both').length >= 200, 20000);
    await sleep(500);
    assert.equal(check(receiver.got('both'), acknowledged), 0);
    assert.equal(receiver.got('both').length, 200);
    checkJournal(a);
    await eventually(() => onDuty(a, 'notify'));
    assert.ok(!onDuty(b, 'notify'));
    // What the other one shows of it comes from the store.
    await eventually(async () => {
        const res = await b.get(`/ngsi-ld/v1/subscriptions/${subscription('both')}`);
        return res.json.notification.timesSent === 200;
    }, 30000, 500);
    await b.end('SIGTERM');
    await a.stop();
});

test('who notified is killed: another takes over in seconds', async () => {
    const [a, b] = await pair();
    await subscribe(a, 'killed');
    assert.ok(await set(a, 1, 0));
    await eventually(() => receiver.got('killed').length === 1);
    const before = Date.now();
    await a.kill();
    assert.ok(await set(b, 1, 1));
    await eventually(() => receiver.got('killed').some(({ body }) => body.data[0].v === 1), 20000);
    console.log(`# told by the other one after ${Date.now() - before} ms`);
    check(receiver.got('killed'), [[1, 0], [1, 1]]);
    const duties = ['notify', 'expiry', 'retention', 'history', 'freshness', 'registrations', 'distribution'];
    await eventually(() => duties.every((d) => onDuty(b, d)), 10000);
    await b.end('SIGTERM');
});

test('kill -9 at random while both write: nothing lost, nothing out of order, no gaps', async () => {
    const both = await pair();
    const names = ['r0', 'r1'], acknowledged = [];
    for (const name of names) await subscribe(both[0], name);
    let running = true, v = 0, repeats = 0;
    const writers = [...Array(8).keys()].map(async (k) => {
        for (let i = k; running; i++) {
            const value = v++;
            if (await set(both[i % 2], k, value)) acknowledged.push([k, value]);
            else await sleep(20);
        }
    });
    for (let round = 0; round < 8; round++) {
        await sleep(200 + Math.random() * 600);
        const i = Math.random() < 0.5 ? 0 : 1;
        await both[i].kill();
        await sleep(Math.random() * 300);
        both[i] = await start({ store: both[i].store });
    }
    running = false;
    await Promise.all(writers);
    assert.ok(acknowledged.length > 100, `only ${acknowledged.length} changes`);
    const told = (name) => new Set(receiver.got(name).flatMap(({ body }) => body.data.map((e) => `${e.id} ${e.v}`)));
    await eventually(() => names.every((name) => {
        const set1 = told(name);
        return acknowledged.every(([k, value]) => set1.has(`${counter(k)} ${value}`));
    }), 60000, 500);
    for (const name of names) repeats += check(receiver.got(name), acknowledged);
    console.log(`# ${acknowledged.length} changes, ${names.length} subscriptions, 8 kills: 0 lost, ${repeats} repeated`);
    checkJournal(both[0]);
    for (const city of both) await city.end('SIGTERM');
});

test('tenants side by side while processes and backends are killed: nothing lost, out of order or left out', async () => {
    const both = await pair();
    const tenants = ['', 'north', 'south'], name = (t) => `all${t}`;
    const acknowledged = Object.fromEntries(tenants.map((t) => [t, []]));
    for (const t of tenants) {
        await eventually(() => set(both[0], 99, -1, t)); // makes the tenant
        await subscribe(both[1], name(t), t);
    }
    let running = true, v = 0;
    // Each counter is written through both processes, in turns, and each tenant by several at once.
    const writers = [...Array(9).keys()].map(async (k) => {
        const t = tenants[k % 3];
        for (let i = k; running; i++) {
            const value = v++;
            if (await set(both[i % 2], k, value, t)) acknowledged[t].push([k, value]);
            else await sleep(20);
        }
    });
    let ended = 0;
    for (let round = 0; round < 12; round++) {
        await sleep(100 + Math.random() * 400);
        if (round % 4 === 3) {
            const i = round % 8 === 3 ? 0 : 1;
            await both[i].kill();
            both[i] = await start({ store: both[i].store });
        } else {
            ended += sql(both[0], `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND (backend_xid IS NOT NULL OR query LIKE '%pg_logical_emit%')
                ORDER BY random() LIMIT 1) x`) === 't';
        }
    }
    running = false;
    await Promise.all(writers);
    assert.ok(ended > 0, 'no backend was ended');
    let repeats = 0;
    for (const t of tenants) {
        assert.ok(acknowledged[t].length > 30, `only ${acknowledged[t].length} changes in "${t}"`);
        const last = new Set(), told = () => new Set(receiver.got(name(t)).flatMap(({ body }) => body.data.map((e) => `${e.id} ${e.v}`)));
        for (const [k, value] of acknowledged[t]) last.add(`${counter(k)} ${value}`);
        await eventually(() => { const got = told(); return [...last].every((x) => got.has(x)); }, 60000, 500);
        repeats += check(receiver.got(name(t)), acknowledged[t]);
    }
    const sum = Object.values(acknowledged).reduce((n, list) => n + list.length, 0);
    console.log(`# ${sum} changes of 3 tenants, 3 processes killed, ${ended} writing backends ended: 0 lost, ${repeats} repeated`);
    checkJournal(both[0]);
    for (const city of both) await city.end('SIGTERM');
});

test('what is kept in memory follows the other process', async () => {
    const [a, b] = await pair();
    // Contexts.
    const url = '/ngsi-ld/v1/jsonldContexts';
    const made = await a.post(url, { '@context': { speed: 'https://example.org/speed' } });
    assert.equal(made.status, 201, made.text);
    const path = new URL(made.headers.get('location'), a.url).pathname;
    await eventually(async () => (await b.get(path)).status === 200);
    assert.equal((await a.delete(path)).status, 204);
    await eventually(async () => (await b.get(path)).status === 404);
    // Contexts that came inside of a request: their address means the same to the other one, which may end them.
    const inside = await a.post('/ngsi-ld/v1/entityOperations/query', {
        '@context': { pace: 'https://example.org/pace' }, type: 'Query', entities: [{ type: 'https://example.org/T' }],
    }, { type: 'application/ld+json', headers: { Accept: 'application/json' } });
    assert.equal(inside.status, 200, inside.text);
    const own = /<([^>]+)>/.exec(inside.headers.get('link'))[1], ownPath = new URL(own, a.url).pathname;
    await eventually(async () => (await b.get(ownPath)).status === 200, 10000);
    const link = `<${new URL(ownPath, b.url)}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"`;
    assert.equal((await b.get('/ngsi-ld/v1/entities?type=pace', { Link: link })).status, 200);
    assert.ok((await b.get('/ngsi-ld/v1/jsonldContexts')).text.includes(ownPath));
    assert.ok((await b.get('/ngsi-ld/v1/jsonldContexts')).text.split(ownPath).length === 2, 'listed once');
    // Entity maps: made at one, used, changed and deleted at the other.
    for (let k = 20; k < 26; k++) assert.ok(await set(a, k, k));
    const first = await a.get('/ngsi-ld/v1/entities?type=Counter&entityMap=true&limit=2&options=keyValues');
    const map = first.headers.get('ngsild-entitymap');
    assert.ok(map, first.text);
    assert.ok(await set(a, 19, 19));
    const all = await b.get('/ngsi-ld/v1/entities?type=Counter&limit=100&options=keyValues', { 'NGSILD-EntityMap': map });
    assert.deepEqual(all.json.map((e) => e.id), [20, 21, 22, 23, 24, 25].map(counter));
    assert.equal((await b.patch(map, { entityMap: { [counter(21)]: ['@none'] } })).status, 204);
    assert.deepEqual((await a.get('/ngsi-ld/v1/entities?type=Counter', { 'NGSILD-EntityMap': map })).json.map((e) => e.id), [counter(21)]);
    assert.equal((await a.delete(map)).status, 204);
    assert.equal((await b.get(map)).status, 404);
    // Entities as they were last shown.
    for (let i = 0; i < 20; i++) {
        assert.ok(await set(i % 2 ? a : b, 7, i));
        for (const city of [a, b]) {
            const res = await city.get(`/ngsi-ld/v1/entities/${counter(7)}?options=keyValues`);
            assert.equal(res.json.v, i);
        }
    }
    // Subscriptions: paused and deleted where nobody notifies.
    await subscribe(b, 'paused');
    await subscribe(b, 'deleted');
    assert.ok(await set(b, 7, 100));
    await eventually(() => receiver.got('paused').length && receiver.got('deleted').length, 10000);
    assert.equal((await b.patch(`/ngsi-ld/v1/subscriptions/${subscription('paused')}`, { isActive: false })).status, 204);
    assert.equal((await b.delete(`/ngsi-ld/v1/subscriptions/${subscription('deleted')}`)).status, 204);
    await eventually(async () => (await a.get(`/ngsi-ld/v1/subscriptions/${subscription('paused')}`)).json.status === 'paused');
    await eventually(async () => (await a.get('/link/v1/deliveries')).json.every((d) => d.id !== subscription('deleted')));
    assert.ok(await set(a, 7, 101));
    assert.equal((await b.patch(`/ngsi-ld/v1/subscriptions/${subscription('paused')}`, { isActive: true })).status, 204);
    assert.ok(await set(b, 7, 102));
    await eventually(() => receiver.got('paused').some(({ body }) => body.data[0].v === 102), 10000);
    assert.ok(receiver.got('paused').every(({ body }) => body.data[0].v !== 101), 'nothing of the pause');
    assert.ok(receiver.got('deleted').every(({ body }) => body.data[0].v === 100));
    // Tenants made by one are there for the other.
    const tenant = { headers: { 'NGSILD-Tenant': 'town' } };
    const entity = { id: counter(1), type: 'Counter', v: { type: 'Property', value: 1 } };
    assert.equal((await a.post('/ngsi-ld/v1/entities', entity, tenant)).status, 201);
    assert.equal((await b.post('/ngsi-ld/v1/entities', entity, tenant)).status, 409);
    await b.end('SIGTERM');
    await a.stop();
});

test('a stale source is told once, whoever has the duty', async () => {
    const [a, b] = await pair();
    const source = (id, type) => ({
        id, type: 'DataSource', name: { type: 'Property', value: id },
        updateInterval: { type: 'Property', value: 'PT2S' }, covers: { type: 'Property', value: { type } },
    });
    for (let i = 0; i < 5; i++)
        assert.equal((await b.post('/ngsi-ld/v1/entities', source(`urn:ngsi-ld:DataSource:${i}`, `Kind${i}`))).status, 201);
    const opened = () => Number(sql(b, "SELECT count(*) FROM journal WHERE key LIKE '%Alert:stale%' AND body LIKE '{\"op\":\"c\"%'"));
    const closed = () => Number(sql(b, "SELECT count(*) FROM journal WHERE key LIKE '%Alert:stale%' AND body LIKE '%validTo%'"));
    await eventually(() => opened() === 5, 20000, 200);
    await a.kill();
    for (let i = 0; i < 5; i++)
        assert.equal((await b.post('/ngsi-ld/v1/entities', { id: `urn:ngsi-ld:Kind${i}:1`, type: `Kind${i}` })).status, 201);
    await eventually(() => closed() >= 5, 20000, 200); // by the other one, which did not open them
    assert.equal(sql(b, "SELECT count(*) = count(DISTINCT key) FROM journal WHERE key LIKE '%Alert:stale%' AND body LIKE '{\"op\":\"c\"%'"), 't');
    await b.end('SIGTERM');
});

await run(() => {
    for (const city of cities) city.child.kill('SIGKILL'); // those of tests that failed
    return receiver.down();
});
