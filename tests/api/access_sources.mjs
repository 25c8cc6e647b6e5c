#!/usr/bin/env node
// Ways around the policies that go over other parties: context sources, nodes, registrations,
// orders for deliveries, conflicts; and secrets that are kept for others.
import assert from 'node:assert/strict';
import http from 'node:http';
import { startCity } from '../lib/city.mjs';
import { startEdge, together } from '../lib/edge.mjs';
import { run, test } from '../lib/tap.mjs';

const ld = '/ngsi-ld/v1';
const lan = { 'X-Forwarded-For': '10.1.2.3' };
const far = { 'X-Forwarded-For': '203.0.113.9' };
const bearer = (key) => ({ Authorization: `Bearer ${key}` });
const P = (value, more) => ({ type: 'Property', value, ...more });
const args = ['--client.allow_private=true', '--http.trusted_proxies=127.0.0.1'];
const city = await startCity({ args });

async function ok(answer, status) {
    const got = await answer;
    assert.equal(got.status, status, got.text);
    return got;
}
const policy = (name, body, of = city) => ok(of.put(`/link/v1/policies/${name}`, body), 200);
const newKey = async (name, policies, headers = {}) => (await ok(city.post('/link/v1/keys', { name, policies }, { headers }), 201)).json.key;
const secretRule = { rules: [{ effect: 'deny', rights: ['read'], types: ['Shelter'], attrs: ['secret'] }] };

// A source that tells everything it is asked for, and more.
const asked = [];
const evolution = [
    { id: 'urn:x:Shelter:9', type: 'Shelter', secret: [P('source-secret', { observedAt: '2024-01-01T00:00:00Z' })], name: [P('shown-name', { observedAt: '2024-01-01T00:00:00Z' })] },
    { id: 'urn:x:Resident:9', type: 'Resident', phone: [P('source-phone', { observedAt: '2024-01-01T00:00:00Z' })] },
];
const source = http.createServer((req, res) => {
    asked.push(req.url);
    const url = new URL(req.url, 'http://x');
    let body = [];
    if (url.pathname.startsWith(`${ld}/temporal/entities/`)) body = evolution.find((e) => url.pathname.endsWith(encodeURIComponent(e.id)) || url.pathname.endsWith(e.id)) ?? {};
    else if (url.pathname.startsWith(`${ld}/temporal/`)) body = evolution;
    else if (url.pathname.startsWith(`${ld}/types/`)) body = { id: 'https://uri.etsi.org/ngsi-ld/default-context/Resident', type: 'EntityTypeInfo', typeName: 'Resident', entityCount: 7, attributeDetails: [] };
    else if (url.pathname === `${ld}/types`) body = { id: 'urn:x:list', type: 'EntityTypeList', typeList: ['Shelter', 'Resident'] };
    else if (url.pathname === `${ld}/attributes`) body = { id: 'urn:x:list', type: 'AttributeList', attributeList: ['secret', 'phone'] };
    const text = JSON.stringify(body);
    res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }).end(text);
});
await new Promise((done) => source.listen(0, '127.0.0.1', done));
const endpoint = `http://127.0.0.1:${source.address().port}`;
const registration = { id: 'urn:x:reg', type: 'ContextSourceRegistration', endpoint, operations: ['retrieveTemporal', 'queryTemporal', 'retrieveEntityTypes', 'retrieveEntityTypeInfo', 'retrieveAttrTypes'], information: [{ entities: [{ type: 'Shelter' }, { type: 'Resident' }] }], contextSourceInfo: [{ key: 'Authorization', value: 'Bearer for-the-source' }] };

test('types, attributes and evolutions of sources tell no more than what is here', async () => {
    await ok(city.post(`${ld}/csourceRegistrations`, registration), 201);
    const open = (await ok(city.get(`${ld}/temporal/entities?type=Shelter,Resident&timerel=after&timeAt=2000-01-01T00:00:00Z`), 200)).text;
    assert.match(open, /source-phone/);
    assert.match(open, /source-secret/);
    assert.match((await city.get(`${ld}/types`)).text, /Resident/);
    await policy('personal', { types: ['Resident'] });
    await policy('everyone', secretRule);
    const doors = ['types', 'types?details=true', 'types/Resident', 'attributes', 'attributes/phone', 'attributes/secret',
        'temporal/entities?type=Shelter,Resident&timerel=after&timeAt=2000-01-01T00:00:00Z', 'temporal/entities?type=Resident&timerel=after&timeAt=2000-01-01T00:00:00Z&options=temporalValues',
        'temporal/entities/urn:x:Resident:9', 'temporal/entities/urn:x:Resident:9?attrs=phone', 'temporal/entities/urn:x:Shelter:9?pick=secret', 'temporal/entities/urn:x:Shelter:9?attrs=secret&options=temporalValues'];
    for (const door of doors) {
        const { status, text } = await city.get(`${ld}/${door}`, lan);
        assert.doesNotMatch(text, /source-|entityCount/, door);
        if (status < 300) assert.doesNotMatch(text, /Resident"|"phone"|"secret"/, door);
    }
    assert.match((await city.get(`${ld}/temporal/entities/urn:x:Shelter:9`, lan)).text, /shown-name/);
    const admin = await newKey('root', ['admin']);
    assert.match((await city.get(`${ld}/temporal/entities/urn:x:Resident:9`, bearer(admin))).text, /source-phone/);
    assert.match((await city.get(`${ld}/types`, bearer(admin))).text, /Resident/);
});

test('conditions of those who do not see everything are not put to sources that answer for themselves', async () => {
    const query = `temporal/entities?type=Shelter&timerel=after&timeAt=2000-01-01T00:00:00Z&q=${encodeURIComponent('secret=="source-secret"')}`;
    asked.length = 0;
    assert.doesNotMatch((await city.get(`${ld}/${query}`, lan)).text, /Shelter:9/);
    await city.post(`${ld}/temporal/entityOperations/query`, { type: 'Query', entities: [{ type: 'Shelter' }], q: 'secret=="source-secret"', temporalQ: { timerel: 'after', timeAt: '2000-01-01T00:00:00Z' } }, { headers: lan });
    assert.deepEqual(asked.filter((url) => url.startsWith(`${ld}/temporal/`)), []);
});

test('what is sent to a source as a proof is not for everybody to read', async () => {
    for (const headers of [lan, far]) {
        for (const path of ['csourceRegistrations/urn:x:reg', 'csourceRegistrations?type=Shelter']) {
            const { text } = await ok(city.get(`${ld}/${path}`, headers), 200);
            assert.match(text, /urn:x:reg/);
            assert.doesNotMatch(text, /for-the-source/, path);
        }
    }
    assert.match((await city.get(`${ld}/csourceRegistrations/urn:x:reg`)).text, /for-the-source/);
    const { headers } = await ok(city.post(`${ld}/subscriptions`, { type: 'Subscription', entities: [{ type: 'Shelter' }], notification: { endpoint: { uri: 'http://127.0.0.1:9/x', receiverInfo: [{ key: 'Authorization', value: 'Bearer for-the-receiver' }] } } }), 201);
    assert.doesNotMatch((await ok(city.get(headers.get('location'), far), 200)).text, /for-the-receiver/);
    assert.doesNotMatch((await ok(city.get(`${ld}/subscriptions`, far), 200)).text, /for-the-receiver/);
    assert.match((await city.get(headers.get('location'))).text, /for-the-receiver/);
    const mqtt = (await ok(city.post(`${ld}/subscriptions`, { type: 'Subscription', entities: [{ type: 'Shelter' }], notification: { endpoint: { uri: 'mqtt://me:for-the-broker@127.0.0.1:9/topic' } } }), 201)).headers.get('location');
    assert.match((await ok(city.get(mqtt, far), 200)).text, /mqtt:\/\/me:\*+@127/);
    assert.match((await city.get(mqtt)).text, /for-the-broker/);
    const v2 = await ok(city.post('/v2/subscriptions', { subject: { entities: [{ idPattern: '.*', type: 'Shelter' }] }, notification: { httpCustom: { url: 'http://127.0.0.1:9/y', headers: { Authorization: 'Bearer for-the-receiver' } } } }), 201);
    for (const path of [v2.headers.get('location'), '/v2/subscriptions']) {
        assert.doesNotMatch((await ok(city.get(path, far), 200)).text, /for-the-receiver/);
        assert.match((await city.get(path)).text, /for-the-receiver/);
    }
});

test('whoever merely writes from this network moves no data past the policies', async () => {
    const evil = { ...registration, id: 'urn:x:evil', mode: 'exclusive' };
    await ok(city.post(`${ld}/csourceRegistrations`, evil, { headers: lan }), 403);
    await ok(city.patch(`${ld}/csourceRegistrations/urn:x:reg`, { endpoint: 'http://127.0.0.1:9/' }, { headers: lan }), 403);
    await ok(city.delete(`${ld}/csourceRegistrations/urn:x:reg`, lan), 403);
    await ok(city.post('/v2/registrations', { dataProvided: { entities: [{ idPattern: '.*', type: 'Resident' }] }, provider: { http: { url: `${endpoint}/v2` } } }, { headers: lan }), 403);
    await ok(city.post('/link/v1/import?type=Shelter', 'id,name\nurn:x:1,evil\n', { headers: lan, type: 'text/csv' }), 403);
    await ok(city.post('/link/v1/sync/nodes', { name: 'evil' }, { headers: lan }), 403);
    await ok(city.delete('/link/v1/sync/nodes/evil', lan), 403);
    await ok(city.get('/link/v1/sync/digest?types=Resident', lan), 403);
    await ok(city.get('/link/v1/sync/digest?types=Resident', far), 403);
    await ok(city.post(`${ld}/entities`, { id: 'urn:x:Bench:1', type: 'Bench' }, { headers: lan }), 201);
});

test('a key is good in its own tenant only, whatever its rights; nodes hold every tenant', async () => {
    const admin = await newKey('elsewhere', ['admin'], { 'NGSILD-Tenant': 'north' });
    for (const headers of [bearer(admin), { ...bearer(admin), 'NGSILD-Tenant': 'south' }]) {
        await ok(city.post(`${ld}/csourceRegistrations`, { ...registration, id: 'urn:x:other' }, { headers }), 403);
        await ok(city.post('/link/v1/import?type=Shelter', 'id,name\nurn:x:1,evil\n', { headers, type: 'text/csv' }), 403);
        await ok(city.post('/link/v1/sync/nodes', { name: 'evil' }, { headers }), 403);
    }
    const own = { ...bearer(admin), 'NGSILD-Tenant': 'north' };
    await ok(city.post('/link/v1/sync/nodes', { name: 'evil' }, { headers: own }), 403);
    await ok(city.post(`${ld}/csourceRegistrations`, { ...registration, id: 'urn:x:own' }, { headers: own }), 201);
});

test('orders for a delivery are given by its owner and by those who manage', async () => {
    await policy('follower', { rules: [{ rights: ['read', 'subscribe'], types: ['Shelter'] }, { rights: ['admin'], types: ['Bench'] }] });
    const [one, two] = [await newKey('one', ['follower']), await newKey('two', ['follower'])];
    const made = await ok(city.post(`${ld}/subscriptions`, { type: 'Subscription', entities: [{ type: 'Shelter' }], notification: { endpoint: { uri: 'http://127.0.0.1:9/z' } } }, { headers: bearer(one) }), 201);
    const at = `/link/v1/deliveries/${made.headers.get('location').split('/').pop()}`;
    for (const action of ['pause', 'skip', 'replay', 'resume', 'retry']) await ok(city.post(`${at}/${action}`, {}, { headers: bearer(two) }), 404);
    await ok(city.post(`${at}/pause`, {}, { headers: lan }), 403);
    await ok(city.post(`${at}/pause`, {}, { headers: bearer(one) }), 204);
    await ok(city.post(`${at}/resume`, {}), 204);
});

test('a snapshot and an entity map tell no more than their tenant does now', async () => {
    const main = await startCity({ args });
    await ok(main.post(`${ld}/entities`, { id: 'urn:x:Resident:1', type: 'Resident', phone: P('090-1') }), 201);
    await ok(main.post(`${ld}/snapshots`, { id: 'urn:x:before', type: 'Snapshot', snapshotQueries: [{ type: 'Query', entities: [{ type: 'Resident' }] }] }, { headers: lan }), 201);
    const inside = { ...far, 'NGSILD-Snapshot': 'urn:x:before' };
    assert.match((await ok(main.get(`${ld}/entities?type=Resident`, inside), 200)).text, /090-1/);
    await policy('personal', { types: ['Resident'] }, main);
    for (const door of ['entities?type=Resident', 'entities/urn:x:Resident:1', 'temporal/entities/urn:x:Resident:1', 'types', 'attributes'])
        assert.doesNotMatch((await main.get(`${ld}/${door}`, inside)).text, /090-1|"phone"|"Resident"/, door);
    assert.doesNotMatch((await main.get('/link/v1/export.ndjson?type=Resident', inside)).text, /090-1/);
    const root = (await ok(main.post('/link/v1/keys', { name: 'root', policies: ['admin'] }), 201)).json.key;
    assert.match((await ok(main.get(`${ld}/entities?type=Resident`, { ...bearer(root), 'NGSILD-Snapshot': 'urn:x:before' }), 200)).text, /090-1/);
    const map = (await ok(main.get(`${ld}/entities?type=Resident&entityMap=true`, bearer(root)), 201)).headers.get('ngsild-entitymap');
    assert.doesNotMatch((await main.get(map, far)).text, /Resident:1/);
    assert.match((await ok(main.get(map, bearer(root)), 200)).text, /Resident:1/);
    await main.stop();
});

test('conflicts show and are settled only where the values do', async () => {
    const main = await startCity({ args });
    await ok(main.post(`${ld}/entities`, { id: 'urn:x:Shelter:1', type: 'Shelter', secret: P('s0'), beds: P(0) }), 201);
    const node = await startEdge(main, 'one');
    await together(main, node);
    node.line.cut();
    for (const [side, n] of [[main, 1], [node, 2]]) await ok(side.patch(`${ld}/entities/urn:x:Shelter:1/attrs`, { secret: P(`s${n}`), beds: P(n) }), 204);
    node.line.mend();
    await together(main, node);
    await policy('everyone', secretRule, main);
    const all = (await ok(main.get('/link/v1/conflicts'), 200)).json, open = (await ok(main.get('/link/v1/conflicts', far), 200)).json;
    assert.deepEqual(all.map((c) => c.attribute).sort(), ['beds']);
    assert.deepEqual(open.map((c) => c.attribute), ['beds']);
    await ok(main.post(`/link/v1/conflicts/${open[0].id}`, { choose: open[0].values[0].key }, { headers: lan }), 403);
    await ok(main.post(`/link/v1/conflicts/${open[0].id}`, { choose: open[0].values[0].key }), 204);
    await node.stop();
    await main.stop();
});

await run(async () => {
    source.close();
    await city.stop();
});
