#!/usr/bin/env node
// Everything out and back in: the same answers, the same lines, on this engine and the other one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, startCity } from '../lib/city.mjs';
import { command, commandLater } from '../lib/command.mjs';
import { run, skip, test } from '../lib/tap.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'marugoto-export-'));
const file = (name) => path.join(folder, name);
const quiet = '--app.log_level=warn';
const server = process.env.MARUGOTO_TEST_PG;
const ld = '/ngsi-ld/v1';
const P = (value, more) => ({ type: 'Property', value, ...more });
const second = { 'NGSILD-Tenant': 'second' }, within = { 'NGSILD-Snapshot': 'urn:x:snap' };
const context = 'https://city.example/context.jsonld';

// --- places that are empty ---

const databases = [];
function place(engine) {
    const dir = mkdtempSync(path.join(folder, `${engine}-`));
    if (engine === 'sqlite') return { dir, store: `sqlite:${path.join(dir, 'city.db')}` };
    const name = `e_${process.pid}_${databases.length}`;
    assert.equal(spawnSync('psql', ['-q', '-d', server, '-c', `CREATE DATABASE ${name}`]).status, 0);
    databases.push(name);
    return { dir, store: new URL(`/${name}`, server).href };
}
const at = (p) => ['--data', p.dir, '--store', p.store, quiet];
const serve = (p, more = []) => startCity({ data: p.dir, store: p.store, args: ['--gate.writers=anyone', '--http.trusted_proxies=127.0.0.1', ...more] });
function sql(p, text) {
    const ran = p.store.startsWith('postgres')
        ? spawnSync('psql', ['-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d', p.store, '-c', text], { encoding: 'utf8' })
        : spawnSync('sqlite3', ['-batch', path.join(p.dir, 'city.db'), text], { encoding: 'utf8' });
    assert.equal(ran.status, 0, ran.stderr);
    return ran.stdout.trim();
}
function exported(p, name, ...more) {
    const ran = command(['export', '--to', file(name), ...more, ...at(p)]);
    assert.equal(ran.code, 0, ran.err);
    return readFileSync(file(name), 'utf8');
}
const imported = (p, name) => command(['import', file(name), '--as', 'everything', ...at(p)]);
const withoutMarks = (text) => text.split('\n').filter((l) => !l.startsWith('{"kind":"mark"')).join('\n');
const rows = (text, kind) => text.trim().split('\n').map((l) => JSON.parse(l)).filter((r) => r.kind === kind);

// --- a city with some of everything ---

const must = async (promise, status) => {
    const res = await promise;
    assert.equal(res.status, status, res.text);
    return res;
};

async function fill(c) {
    await must(c.post(`${ld}/jsonldContexts`, { '@context': { ex: 'https://x.example/' } }), 201);
    for (let i = 0; i < 130; i++)
        await must(c.post(`${ld}/entities`, { id: `urn:x:room-${i}`, type: 'Room', temperature: P(i + 0.5, { observedAt: '2026-01-01T00:00:00.123456Z', unitCode: 'CEL' }),
            name: P(`部屋 ${i} 🗾 "a,b"\n`), place: { type: 'GeoProperty', value: { type: 'Point', coordinates: [139.7 + i / 1000, 35.6] } } }), 201);
    await must(c.post(`${ld}/entities`, { id: 'urn:x:many', type: ['Room', 'Hall'], scope: ['/a/b'], expiresAt: '2099-01-01T00:00:00Z',
        n: [P(1), P(2, { datasetId: 'urn:d:2', by: P('x') })], to: { type: 'Relationship', object: 'urn:x:room-1' },
        words: { type: 'LanguageProperty', languageMap: { ja: '市', en: 'city' } }, big: P('12345678901234567890'), list: { type: 'ListProperty', valueList: [1, 'a', null].slice(0, 2) } }), 201);
    for (let i = 0; i < 5; i++) {
        await must(c.patch(`${ld}/entities/urn:x:room-1/attrs`, { temperature: P(30 + i, { observedAt: `2026-01-0${i + 2}T00:00:00Z` }) }), 204);
        await must(c.patch(`${ld}/entities/urn:x:many/attrs`, { n: P(20 + i) }), 204);
    }
    await must(c.delete(`${ld}/entities/urn:x:room-2`), 204);
    await must(c.delete(`${ld}/entities/urn:x:many/attrs/big`), 204);
    await must(c.post(`${ld}/temporal/entities`, { id: 'urn:x:past', type: 'Ruin', height: [P(1, { observedAt: '2001-01-01T00:00:00Z' }), P(2, { observedAt: '2002-01-01T00:00:00Z' })] }), 201);
    await must(c.post(`${ld}/entities`, { id: 'urn:x:room-1', type: 'Room', other: P(true) }, { headers: second }), 201);
    await must(c.post(`${ld}/subscriptions`, { id: 'urn:x:sub', type: 'Subscription', entities: [{ type: 'Room' }], isActive: false,
        notification: { endpoint: { uri: 'http://127.0.0.1:1/in', receiverInfo: [{ key: 'Authorization', value: 'Bearer hush' }] } } }), 201);
    await must(c.post(`${ld}/csourceRegistrations`, { id: 'urn:x:reg', type: 'ContextSourceRegistration', information: [{ entities: [{ type: 'Faraway' }] }],
        endpoint: 'http://127.0.0.1:1', mode: 'auxiliary' }), 201);
    await must(c.post(`${ld}/csourceSubscriptions`, { id: 'urn:x:csub', type: 'Subscription', entities: [{ type: 'Faraway' }], isActive: false,
        notification: { endpoint: { uri: 'http://127.0.0.1:1/cs' } } }), 201);
    await must(c.post('/v2/subscriptions', { subject: { entities: [{ idPattern: '.*', type: 'Room' }] }, notification: { http: { url: 'http://127.0.0.1:1/v2' } }, status: 'inactive' }), 201);
    await must(c.post('/v2/registrations', { dataProvided: { entities: [{ id: 'Elsewhere', type: 'Room' }], attrs: ['x'] }, provider: { http: { url: 'http://127.0.0.1:1/v2' } } }), 201);
    await must(c.put('/link/v1/policies/retention', { rules: [{ types: ['Room'], keep: 'P9Y', rollup: 'P20Y' }] }), 200);
    await must(c.put('/link/v1/policies/stations', { rules: [{ rights: ['write'], types: ['Room'] }] }), 200);
    await must(c.post(`${ld}/snapshots`, { id: 'urn:x:snap', type: 'Snapshot', snapshotLifetime: 'P6D', endpoint: 'http://127.0.0.1:1/snap',
        snapshotQueries: [{ type: 'Query', entities: [{ type: 'Hall' }] }] }), 201);
    await eventually(async () => (await c.get(`${ld}/snapshots/urn:x:snap`)).json.snapshotStatus === 'success');
    await must(c.patch(`${ld}/entities/urn:x:many/attrs`, { n: P(77) }, { headers: within }), 204);
    await must(c.post(`${ld}/subscriptions`, { id: 'urn:x:sub-in', type: 'Subscription', entities: [{ type: 'Hall' }], isActive: false,
        notification: { endpoint: { uri: 'http://127.0.0.1:1/in' } } }, { headers: within }), 201);
    nodeToken = (await must(c.post('/link/v1/sync/nodes', { name: 'shelter-1' }), 201)).json.token;
    const { json } = await must(c.post('/link/v1/keys', { name: 'station', policies: ['stations'] }), 201);
    return json.key;
}

const questions = [
    [`${ld}/entities?type=Room&limit=1000&options=sysAttrs&count=true`], [`${ld}/entities?type=Hall&options=sysAttrs`],
    [`${ld}/entities?type=Room&q=temperature>100`], [`${ld}/entities?type=Room&q=name~=12`],
    [`${ld}/entities?type=Room&georel=near;maxDistance==500&geometry=Point&coordinates=[139.7,35.6]&geoproperty=place`],
    [`${ld}/types?details=true`], [`${ld}/attributes`], [`${ld}/entities?type=Room&options=sysAttrs`, second],
    [`${ld}/temporal/entities/urn:x:room-1?options=sysAttrs`], [`${ld}/temporal/entities/urn:x:many?options=sysAttrs`],
    [`${ld}/temporal/entities/urn:x:room-2`], [`${ld}/temporal/entities/urn:x:past`],
    [`${ld}/temporal/entities/urn:x:room-3?options=aggregatedValues&aggrMethods=sum,totalCount&timerel=after&timeAt=2000-01-01T00:00:00Z`],
    [`${ld}/subscriptions?options=sysAttrs`], [`${ld}/csourceRegistrations?type=Faraway&options=sysAttrs`], [`${ld}/csourceSubscriptions`],
    ['/v2/subscriptions'], ['/v2/registrations'], ['/v2/entities?id=urn:x:many'], [`${ld}/snapshots/urn:x:snap`],
    [`${ld}/entities?type=Hall&options=sysAttrs`, within], [`${ld}/subscriptions`, within], [`${ld}/temporal/entities/urn:x:many?options=sysAttrs`, within], ['/link/v1/policies'], ['/link/v1/keys'], [`${ld}/jsonldContexts?details=true`],
];
async function answers(c) {
    const all = [];
    for (const [target, headers] of questions) {
        const { status, text, headers: h } = await c.get(target, headers);
        assert.equal(status, 200, `${target}: ${text}`);
        all.push([target, text.replaceAll(c.url, 'URL').replace(/"lastUsedAt":"[^"]*"/, '').replace(/AttributeList:[0-9a-f-]+/, 'AttributeList'), h.get('etag'), h.get('ngsild-results-count')]);
    }
    return all;
}

const engines = server ? ['sqlite', 'postgres'] : ['sqlite'];
const home = place(server ? 'postgres' : 'sqlite');
let key, nodeToken, first, told;

test('an export beside the running server is for its owner alone and ends with its count', async () => {
    const c = await serve(home);
    key = await fill(c);
    const ran = await commandLater(['export', '--to', file('live'), ...at(home)]);
    assert.equal(ran.code, 0, ran.err);
    assert.equal(statSync(file('live')).mode & 0o777, 0o600);
    const lines = readFileSync(file('live'), 'utf8').trim().split('\n').map((l) => JSON.parse(l));
    assert.deepEqual(lines[0], { kind: 'marugoto', format: 1 });
    assert.deepEqual(lines.at(-1), { kind: 'end', records: lines.filter((l) => !['marugoto', 'mark', 'end'].includes(l.kind)).length });
    assert.match((await commandLater(['export', '--to', file('live'), ...at(home)])).err, /cannot make/);
    // over HTTP the same, in chunks
    const res = await c.get('/link/v1/export/everything.ndjson?tenants=all');
    assert.equal(res.status, 200);
    assert.equal(withoutMarks(res.text), withoutMarks(readFileSync(file('live'), 'utf8')));
    const marks = rows(res.text, 'mark');
    assert.ok(marks.length > 10);
    for (const mark of [marks[0], marks[3], marks.at(-1)]) {
        const rest = await c.get(`/link/v1/export/everything.ndjson?tenants=all&after=${mark.after}`);
        const line = JSON.stringify(mark) + '\n';
        assert.equal(rest.text, res.text.slice(res.text.indexOf(line) + line.length));
    }
    assert.equal((await c.get('/link/v1/export/everything.ndjson?after=entity.x')).status, 400);
    assert.equal((await c.get('/link/v1/export/everything.ndjson?tenants=some')).status, 400);
    const one = await c.get('/link/v1/export/everything.ndjson', second);
    assert.deepEqual(rows(one.text, 'entity').map((r) => [r.tenant, r.id]), [['second', 'urn:x:room-1']]);
    await c.stop();
});

test('everything is for those who manage the city', async () => {
    const c = await serve(home, ['--gate.token=secret-of-the-city-0123456789']);
    const far = { 'X-Forwarded-For': '203.0.113.9' }, url = '/link/v1/export/everything.ndjson';
    const admin = (await must(c.post('/link/v1/keys', { name: 'boss', policies: ['admin'] }), 201)).json.key;
    assert.equal((await c.get(url, far)).status, 403);
    assert.equal((await c.get(url, { ...far, Authorization: `Bearer ${key}` })).status, 403);
    assert.equal((await c.get(url, { ...far, Authorization: `Bearer ${admin}` })).status, 200);
    assert.equal((await c.get(`${url}?tenants=all`, { ...far, Authorization: `Bearer ${admin}` })).status, 403);
    assert.notEqual((await c.get(url, { ...far, ...second, Authorization: `Bearer ${admin}` })).status, 200);
    assert.equal((await c.get(`${url}?tenants=all`, { ...far, Authorization: 'Bearer secret-of-the-city-0123456789' })).status, 200);
    await c.stop();
});

test('what stands in it', async () => {
    sql(home, `INSERT INTO hist_hour(eid, attr, dataset, h, observed, n, numbers, sum, sumsq, least, greatest)
        SELECT a.eid, a.attr, a.dataset, 1600002000000000, 1, 3, 3, 0.1, 1e300, -0.25, 20 FROM hist_attr a
        JOIN entity e ON e.eid = a.eid WHERE e.id = 'urn:x:room-3' AND a.iri LIKE '%temperature'`);
    const c = await serve(home);
    told = await answers(c);
    await c.stop();
    first = exported(home, 'first');
    for (const [kind, n] of [['tenant', 2], ['snapshot', 1], ['entity', 134], ['hours', 1], ['subscription', 4], ['node', 1], ['registration', 1], ['v2Registration', 1], ['key', 2], ['policy', 2]])
        assert.equal(rows(first, kind).length, n, kind);
    assert.ok(rows(first, 'context').length >= 1);
    assert.ok(first.includes('Bearer hush'), 'a secret of a subscription');
    assert.ok(!first.includes(key), 'a key itself');
    const [snap] = rows(first, 'snapshot'), [node] = rows(first, 'node');
    assert.deepEqual([snap.tenant, snap.id, snap.doc.endpoint, snap.doc.snapshotStatus, snap.expires], ['', 'urn:x:snap', 'http://127.0.0.1:1/snap', 'success', snap.doc.expiresAt]);
    assert.deepEqual(rows(first, 'entity').filter((r) => r.tenant === snap.space).map((r) => r.id), ['urn:x:many']);
    assert.deepEqual(Object.keys(node), ['kind', 'name', 'part', 'created']);
    assert.ok(!first.includes(nodeToken), 'a token');
    assert.equal(rows(first, 'entity').find((r) => r.id === 'urn:x:room-2').doc, null);
    assert.equal(rows(first, 'entity').find((r) => r.id === 'urn:x:room-2').types?.length, 1);
    assert.ok(rows(first, 'history').filter((r) => r.id === 'urn:x:room-1' && r.attr.endsWith('temperature')).length === 6);
    const other = exported(home, 'second-only', '--tenant', 'second');
    assert.deepEqual(['snapshot', 'node'].map((kind) => rows(other, kind).length), [0, 0]);
    const one = place(engines[0]);
    const city = exported(home, 'city-only', '--tenant', '');
    assert.deepEqual(['snapshot', 'node'].map((kind) => rows(city, kind).length), [1, 0]);
    assert.equal(imported(one, 'city-only').code, 0);
    assert.equal(withoutMarks(exported(one, 'city-again', '--tenant', '')), withoutMarks(city));
});

for (const from of engines)
    for (const to of engines)
        test(`from ${from} to ${to}: the same lines, the same answers`, async () => {
            const name = `${from}-${to}`;
            const there = place(from), here = place(to);
            for (const [p, source] of [[there, 'first'], [here, `${name}-1`]]) {
                const ran = imported(p, source);
                assert.equal(ran.code, 0, ran.err);
                assert.match(ran.out, /^\d+ records of \d+ lines\n$/);
                const again = exported(p, p === there ? `${name}-1` : `${name}-2`);
                assert.equal(withoutMarks(again), withoutMarks(first));
                const check = command(['check', ...at(p)]);
                assert.equal(check.out, '0 findings\n', check.err);
            }
            const c = await serve(here);
            for (const [i, got] of (await answers(c)).entries()) assert.deepEqual(got, told[i]);
            // it lives: changes, their evolution, keys
            await must(c.patch(`${ld}/entities/urn:x:room-1/attrs`, { temperature: P(99, { observedAt: '2026-02-01T00:00:00Z' }) }), 204);
            const { json } = await must(c.get(`${ld}/temporal/entities/urn:x:room-1?attrs=temperature`), 200);
            assert.equal(json.temperature.length, 7);
            const keyed = { 'X-Forwarded-For': '203.0.113.9', Authorization: `Bearer ${key}` };
            await must(c.patch(`${ld}/entities/urn:x:room-5/attrs`, { temperature: P(1) }, { headers: keyed }), 204);
            // the snapshot lives, apart from what it was made of, and goes with all that it holds
            assert.equal((await c.get(`${ld}/entities/urn:x:many?pick=n&datasetId=@none&options=keyValues`, within)).json.n, 77);
            await must(c.patch(`${ld}/entities/urn:x:many/attrs`, { n: P(78) }, { headers: within }), 204);
            assert.equal((await c.get(`${ld}/entities/urn:x:many?pick=n&datasetId=@none&options=keyValues`)).json.n, 24);
            await must(c.delete(`${ld}/snapshots/urn:x:snap`), 204);
            await must(c.get(`${ld}/entities?type=Hall`, within), 404);
            // the node is known, let in when it is enrolled again
            const nodes = async () => (await must(c.get('/link/v1/sync/nodes'), 200)).json.nodes;
            const session = (token) => c.post('/link/v1/sync/sessions', { node: 'aaaa' }, { headers: { Authorization: `Bearer ${token}` } });
            assert.deepEqual(await nodes(), [{ name: 'shelter-1' }]);
            assert.match((await must(c.get('/en/console/nodes'), 200)).text, /shelter-1(?:(?!<\/tr>)[^])*<td class="time">–<\/td>/);
            for (const token of [nodeToken, '0']) assert.equal((await session(token)).status, 401);
            const enrolled = (await must(c.post('/link/v1/sync/nodes', { name: 'shelter-1' }), 201)).json;
            assert.deepEqual((await nodes()).map((n) => [n.name, !!n.enrolledAt]), [['shelter-1', true]]);
            assert.equal((await session(nodeToken)).status, 401);
            assert.notEqual((await session(enrolled.token)).status, 401);
            await must(c.post('/link/v1/sync/nodes', { name: 'shelter-1' }), 409);
            await c.stop();
            assert.equal(sql(here, "SELECT count(*) FROM tenant WHERE name LIKE 'snapshot:%'"), '0');
            assert.equal(command(['check', ...at(here)]).out, '0 findings\n');
            assert.match(imported(here, 'first').err, /not empty/);
        });

test('a tenant by itself goes where it is not', async () => {
    const p = place(engines[0]);
    assert.equal(imported(p, 'second-only').code, 0);
    assert.equal(withoutMarks(exported(p, 'second-again', '--tenant', 'second')), withoutMarks(readFileSync(file('second-only'), 'utf8')));
    assert.match(imported(p, 'first').err, /tenant "second" of this store is not empty/);
    assert.equal(sql(p, 'SELECT count(*) FROM entity'), '1');
});

test('a damaged line is refused by its number and nothing has changed', () => {
    const p = place(engines.at(-1));
    const lines = first.trim().split('\n');
    const entity = lines.findIndex((l) => l.startsWith('{"kind":"entity"') && l.includes('urn:x:room-7"'));
    const history = lines.findIndex((l) => l.startsWith('{"kind":"history"'));
    const snapshot = lines.findIndex((l) => l.startsWith('{"kind":"snapshot"'));
    const node = lines.findIndex((l) => l.startsWith('{"kind":"node"'));
    const damages = [
        [snapshot, (l) => l.replace('"space":"snapshot:', '"space":"'), /line N: no snapshot/], [snapshot, (l) => l.replace(/"id":"[^"]*"/, '"id":null'), /line N: no snapshot/],
        [snapshot, (l) => l.replace('"tenant":""', '"tenant":"none"'), /line N: a tenant/],
        ...['null', '""', '"upstream"'].map((name) => [node, (l) => l.replace('"shelter-1"', name), /line N: no node/]),
        [entity, (l) => l.slice(0, -20), /line N: /], [entity, (l) => l.replace('"id":"urn:x:room-7"', '"id":"urn:x:room-8"'), /line N: doc is not/],
        [entity, (l) => l.replace(/"version":\d+/, '"version":"x"'), /line N: entity: "version"/], [entity, () => '{"kind":"entity"}', /line N: entity: "tenant"/],
        [history, (l) => l.replace(/"time":"[^"]*"/, '"time":"yesterday"'), /line N: history: "time"/], [history, (l) => l.replace('"tenant":""', '"tenant":"none"'), /line N: a tenant/],
        [history, (l) => l.replace('"kind":"history"', '"kind":"story"'), /line N: no kind/], [0, () => '{"kind":"marugoto","format":2}', /line 1: no export/],
        [entity, (l) => l.replace(/,"doc":.*$/, '}'), /line N: entity: "doc"/], [history, (l) => l.replace(/,"instance":.*$/, '}'), /line N: history: /],
        [entity, () => '{"kind":"mark","after":""}', /records where \d+ belong/], [lines.length - 1, () => '', /./],
    ];
    for (const [i, change, want] of damages) {
        const bad = [...lines];
        bad[i] = change(lines[i]);
        assert.notEqual(bad[i], lines[i]);
        writeFileSync(file('bad'), bad.join('\n') + '\n');
        const ran = imported(p, 'bad');
        assert.equal(ran.code, 1);
        assert.match(ran.err, new RegExp(want.source.replace('N', String(i + 1))));
        assert.equal(sql(p, 'SELECT count(*) FROM entity'), '0');
    }
    writeFileSync(file('bad'), lines.slice(0, -1).join('\n') + '\n');
    assert.match(imported(p, 'bad').err, /without its end/);
    assert.equal(imported(p, 'first').code, 0, 'and the whole one goes in afterwards');
});

test('an import that was broken off goes on with the same file only', () => {
    for (const engine of engines) {
        const p = place(engine), name = `again-${engine}`;
        // A row that is in the way of one in the middle stops it after some commits.
        assert.equal(command(['import', file('nowhere'), '--as', 'everything', ...at(p)]).code, 1);
        command(['policy', 'list', ...at(p)]);
        const token = `'${'00'.repeat(32)}'`;
        const digest = rows(first, 'key')[0].digest;
        const blob = p.store.startsWith('postgres') ? `decode('${digest}', 'hex')` : `X'${digest}'`;
        sql(p, `INSERT INTO access_key(tenant, name, digest, policies, quota, created, expires, revoked, used) VALUES (77, ${token}, ${blob}, '[]', '{}', 0, 0, 0, 0)`);
        const ran = imported(p, 'first');
        assert.equal(ran.code, 1);
        assert.ok(Number(sql(p, 'SELECT count(*) FROM entity')) > 100, 'something was written');
        sql(p, 'DELETE FROM access_key WHERE tenant = 77');
        writeFileSync(file('other'), first.replace('部屋 7 ', '部屋 8 '));
        assert.match(imported(p, 'other').err, /another file/);
        const more = imported(p, 'first');
        assert.equal(more.code, 0, more.err);
        assert.match(more.out, /from line \d+ on/);
        assert.equal(withoutMarks(exported(p, name)), withoutMarks(first));
        assert.equal(command(['check', ...at(p)]).out, '0 findings\n');
    }
});

test('an export that was cut off goes on', () => {
    for (const part of [0.3, 0.6, 0.97]) {
        const whole = Buffer.from(first);
        writeFileSync(file('cut'), whole.subarray(0, Math.floor(whole.length * part)));
        const ran = command(['export', '--to', file('cut'), '--resume', ...at(home)]);
        assert.equal(ran.code, 0, ran.err);
        assert.equal(readFileSync(file('cut'), 'utf8'), first);
    }
    assert.equal(command(['export', '--to', file('cut'), '--resume', ...at(home)]).code, 0);
    assert.equal(readFileSync(file('cut'), 'utf8'), first, 'one that is whole stays as it is');
    writeFileSync(file('cut'), 'no export\n');
    assert.match(command(['export', '--to', file('cut'), '--resume', ...at(home)]).err, /nothing to go on from/);
});

test('history without its entity is skipped and counted', () => {
    const p = place(engines[0]);
    let gone = 0;
    const lines = withoutMarks(first).trim().split('\n').filter((l) => {
        const out = l.startsWith('{"kind":"entity","tenant":"","id":"urn:x:room-9"');
        gone += out;
        return !out;
    });
    assert.equal(gone, 1);
    lines[lines.length - 1] = JSON.stringify({ kind: 'end', records: lines.length - 2 });
    writeFileSync(file('gap'), lines.join('\n') + '\n');
    const ran = imported(p, 'gap');
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.out, /skipped 6 rows/); // three series with a row each
});

test('rows of a snapshot that came after its turn are skipped and counted', () => {
    const p = place(engines.at(-1));
    const [{ space }] = rows(first, 'snapshot');
    const lines = withoutMarks(first).trim().split('\n').filter((l) => !l.startsWith('{"kind":"snapshot"'));
    const late = lines.filter((l) => JSON.parse(l).tenant === space);
    lines[lines.length - 1] = JSON.stringify({ kind: 'end', records: lines.length - 2 });
    writeFileSync(file('late'), lines.join('\n') + '\n');
    const ran = imported(p, 'late');
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.out, new RegExp(`skipped ${late.length} rows`));
    assert.deepEqual(rows(exported(p, 'not-late'), 'entity').filter((r) => r.tenant === space), []);
});

test('CSV: a file for each kind and type, plain', () => {
    const ran = command(['export', '--to', file('sheets'), '--format', 'csv', ...at(home)]);
    assert.equal(ran.code, 0, ran.err);
    const names = readdirSync(file('sheets'));
    for (const name of ['entities-Room.csv', 'history.csv', 'subscription.csv', 'policy.csv', 'tenant.csv'])
        assert.ok(names.includes(name), `${name} in ${names}`);
    for (const name of names) assert.equal(statSync(path.join(file('sheets'), name)).mode & 0o777, 0o600);
    const rooms = readFileSync(path.join(file('sheets'), 'entities-Room.csv'), 'utf8');
    const [head, row] = rooms.split('\r\n');
    assert.equal(head, '\ufefftenant,id,type,scope,createdAt,modifiedAt,expiresAt,temperature,name,place,n,to,words,list,other');
    assert.match(row, /^,urn:x:room-0,Room,,[^,]+Z,[^,]+Z,,0\.5,"部屋 0 🗾 ""a,b""\n","{""type"":""Point"",""coordinates"":\[139\.7,35\.6\]}",,,,,$/);
    assert.equal(rooms.split('\r\n').length, 1 + 131 + 1);
    const history = readFileSync(path.join(file('sheets'), 'history.csv'), 'utf8');
    assert.ok(history.startsWith('\ufefftenant,id,attr,dataset,time,seq,modified,value,instance\r\n'));
    assert.match(command(['export', '--to', file('sheets'), '--format', 'csv', ...at(home)]).err, /cannot make/);
});

test('wrong arguments are refused', () => {
    for (const args of [[], ['--to'], ['--to', file('x'), '--format', 'xml'], ['--to', file('x'), '--tenant', 'a', '--all-tenants'], ['--to', file('x'), '--format', 'csv', '--resume'], ['--what']])
        assert.equal(command(['export', ...args]).code, 2, args.join(' '));
    assert.equal(command(['export', '--to', file('x'), '--tenant', 'none', ...at(home)]).code, 1);
    assert.ok(!existsSync(file('x')));
    assert.equal(command(['import', file('first'), '--as', 'everything', '--type', 'X', ...at(home)]).code, 2);
});

test('between the engines', () => {
    if (!server) skip('no PostgreSQL here; see tests/lib/pg.sh');
    assert.deepEqual(engines, ['sqlite', 'postgres']);
});

await run(() => {
    for (const name of databases) spawnSync('psql', ['-q', '-d', server, '-c', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]);
    rmSync(folder, { recursive: true, force: true });
});
