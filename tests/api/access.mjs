#!/usr/bin/env node
// Keys and policies, and every way around them: each door to read by, each to write by, both
// interfaces. What is hidden must not show, and must not be usable to find out its value.
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, sleep, startCity } from '../lib/city.mjs';
import { command, commandLater } from '../lib/command.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { run, test } from '../lib/tap.mjs';

const city = await startCity({ args: ['--client.allow_private=true', '--http.trusted_proxies=127.0.0.1', '--app.log_level=debug'] });
const { dir } = city;
const receiver = await startReceiver();
const ld = '/ngsi-ld/v1';
const P = (value, more) => ({ type: 'Property', value, ...more });
const bearer = (key) => ({ Authorization: `Bearer ${key}` });
const far = { 'X-Forwarded-For': '203.0.113.9' };

async function newKey(name, policies, more = {}) {
    const res = await city.post('/link/v1/keys', { name, policies, ...more });
    assert.equal(res.status, 201, res.text);
    assert.match(res.json.key, /^mk_[\w-]{43}$/);
    return res.json.key;
}
async function policy(name, body) {
    const res = await city.put(`/link/v1/policies/${name}`, body);
    assert.equal(res.status, 200, res.text);
    return res.json;
}

const resident = (i, phone) => ({ id: `urn:ngsi-ld:Resident:${i}`, type: 'Resident', name: P(`Name ${i}`), phone: P(phone), age: P(20 + i) });
const shelter = (i) => ({
    id: `urn:ngsi-ld:Shelter:${i}`, type: 'Shelter', name: P(`Shelter ${i}`), secret: P(`s${i}`), rank: P(10 - i, { observedAt: `2024-03-01T00:0${i}:00Z` }),
    place: { type: 'GeoProperty', value: { type: 'Point', coordinates: [140 + i, 36] } },
});
let admin, clerk, sensor, owner;

test('keys are made on the machine itself, shown once, and open from far away', async () => {
    assert.equal((await city.post('/link/v1/keys', { name: 'x', policies: ['admin'] }, { headers: far })).status, 403);
    assert.equal((await city.get('/link/v1/keys', far)).status, 403);
    admin = await newKey('root', ['admin']);
    for (const headers of [bearer(admin), { 'X-API-Key': admin }, { 'X-Auth-Token': admin }]) {
        const res = await city.get('/link/v1/keys', { ...far, ...headers });
        assert.equal(res.status, 200, res.text);
        assert.ok(!res.text.includes(admin));
    }
    assert.equal((await city.post('/link/v1/keys', { name: 'root', policies: [] })).status, 409);
    for (const bad of [{ name: '' }, { name: 'a b' }, { name: 'k', policies: 'x' }, { name: 'k', expiresAt: 'soon' }, { name: 'k', quota: { speed: 1 } }])
        assert.equal((await city.post('/link/v1/keys', bad)).status, 400, JSON.stringify(bad));
    const [listed] = (await city.get('/link/v1/keys')).json;
    assert.equal(listed.name, 'root');
    assert.deepEqual(listed.policies, ['admin']);
});

test('policies are checked, versioned and named in the journal', async () => {
    for (const bad of [{ rules: [{ rights: ['fly'] }] }, { rules: [{ rights: [] }] }, { rules: [{ rights: ['read'], q: '((' }] }, { rules: [{ rights: ['read'], effect: 'maybe' }] }, { rules: [{ rights: ['read'], typo: [] }] }, { rules: 1 }, { rules: [{ rights: ['read'], types: 'A' }] }])
        assert.equal((await city.put('/link/v1/policies/bad', bad)).status, 400, JSON.stringify(bad));
    assert.equal((await city.put('/link/v1/policies/admin', { rules: [] })).status, 400);
    assert.equal((await policy('clerk', { rules: [] })).version, 1);
    assert.equal((await policy('clerk', { rules: [{ rights: ['read', 'subscribe'], types: ['Resident'], attrs: ['name', 'age'] }, { rights: ['read', 'write', 'subscribe'], types: ['Shelter'] }] })).version, 2);
    const all = (await city.get('/link/v1/policies')).json;
    assert.deepEqual(all.map((p) => p.version), [1, 2]);
    assert.equal(all[1].actor, 'local');
    await policy('personal', { types: ['Resident'] });
    await policy('everyone', { rules: [{ effect: 'deny', rights: ['read', 'subscribe'], types: ['Shelter'], attrs: ['secret', 'rank', 'place'] }] });
    await policy('device', { rules: [{ rights: ['write'], types: ['Shelter'], attrs: ['name'] }] });
    await policy('mine', { rules: [{ rights: ['read', 'write', 'subscribe'], own: true }, { effect: 'deny', rights: ['read'], types: ['Note'] }] });
    clerk = await newKey('clerk', ['clerk']);
    sensor = await newKey('sensor', ['device']);
    await policy('mine', { rules: [{ rights: ['read', 'write', 'subscribe'], types: ['Note'], own: true }] });
    owner = [await newKey('owner-a', ['mine']), await newKey('owner-b', ['mine'])];
});

test('the admin writes; nothing of a personal type is open', async () => {
    const made = await city.post(`${ld}/entityOperations/create`, [resident(1, '090-1'), resident(2, '090-2'), shelter(1), shelter(2), shelter(3)], { headers: bearer(admin) });
    assert.equal(made.status, 201, made.text);
    assert.equal((await city.patch(`${ld}/entities/urn:ngsi-ld:Resident:1/attrs`, { phone: P('090-9') }, { headers: bearer(admin) })).status, 204);
    assert.equal((await city.get(`${ld}/entities/urn:ngsi-ld:Resident:1`, bearer(admin))).json.phone.value, '090-9');
});

// Whatever is asked, none of these may stand in an answer to somebody who must not see them.
const secrets = /090-|"s\d"|Name \d|Resident:|urn:ngsi-ld:Note|@creator|@owner/;
const shelterSecrets = /"s\d"|"rank"|"place"|secret/;
const doors = [
    `${ld}/entities/urn:ngsi-ld:Resident:1`, `${ld}/entities/urn:ngsi-ld:Resident:1?attrs=phone`, `${ld}/entities/urn:ngsi-ld:Resident:1/attrs/phone`,
    `${ld}/entities?type=Resident`, `${ld}/entities?id=urn:ngsi-ld:Resident:1`, `${ld}/entities?idPattern=.*`, `${ld}/entities?attrs=phone`, `${ld}/entities?local=true`, `${ld}/entities?type=*`,
    `${ld}/entities?q=phone`, `${ld}/entities?type=Resident&options=keyValues`, `${ld}/entities?type=Resident,Shelter&pick=id`, `${ld}/types`, `${ld}/types?details=true`, `${ld}/types/Resident`, `${ld}/attributes`, `${ld}/attributes?details=true`, `${ld}/attributes/phone`,
    `${ld}/temporal/entities/urn:ngsi-ld:Resident:1`, `${ld}/temporal/entities?type=Resident&timerel=after&timeAt=2000-01-01T00:00:00Z`, `${ld}/temporal/entities?type=Resident&pick=id&timerel=after&timeAt=2000-01-01T00:00:00Z`,
    '/link/v1/export.ndjson?type=Resident', '/link/v1/export.csv?type=Resident', '/link/v1/export.geojson?type=Shelter', '/link/v1/export.csv?type=Shelter',
    '/v2/entities', '/v2/entities?type=Resident', '/v2/entities/urn:ngsi-ld:Resident:1', '/v2/entities/urn:ngsi-ld:Resident:1/attrs', '/v2/entities/urn:ngsi-ld:Resident:1/attrs/phone', '/v2/entities/urn:ngsi-ld:Resident:1/attrs/phone/value', '/v2/types', '/v2/types/Resident', '/v2/entities?q=phone', '/v2/entities?attrs=phone',
    '/open/Resident.csv', '/open/Resident.json', '/en/', '/en/data', '/en/data/Resident', '/en/entity/urn:ngsi-ld:Resident:1', '/tiles/all/8/227/100.mvt', '/tiles/Resident/8/227/100.mvt', '/en/data/Shelter',
    `${ld}/entities/urn:ngsi-ld:Shelter:1`, `${ld}/entities?type=Shelter`, `${ld}/entities/urn:ngsi-ld:Shelter:1/attrs/secret`, `${ld}/temporal/entities/urn:ngsi-ld:Shelter:1?attrs=secret`, `${ld}/entities?type=Shelter&q=${encodeURIComponent('secret=="s1"')}`, `${ld}/attributes/secret`, '/v2/entities/urn:ngsi-ld:Shelter:1/attrs/secret', '/v2/entities?type=Shelter', '/open/Shelter.csv',
];

test('nothing that is hidden shows at any door, for nobody, a device and strangers', async () => {
    await city.get(`${ld}/entities?type=Shelter`, bearer(admin)); // texts are kept for the next reader now
    for (const headers of [{}, far, bearer(sensor)]) {
        for (const door of doors) {
            const res = await city.get(door, headers);
            const shown = door.startsWith('/en/') ? res.text.replaceAll('urn:ngsi-ld:Resident:1', '') : res.text;
            const said = res.status >= 400 ? shown.replace(/no entity urn:ngsi-ld:Resident:1|urn:ngsi-ld:Resident:1/g, '') : shown;
            assert.ok(res.status < 500, `${door}: ${res.status} ${res.text}`);
            assert.doesNotMatch(said.replaceAll('details=true', ''), /090-|"s\d"|Name \d|@creator/, door);
            if (res.status < 300 && !door.startsWith('/en/')) assert.doesNotMatch(said, /Resident:|"phone"|"secret"|Resident"/, door);
        }
        const query = await city.post(`${ld}/entityOperations/query`, { type: 'Query', entities: [{ type: 'Resident' }, { type: 'Shelter' }] }, { headers });
        assert.doesNotMatch(query.text, secrets);
        assert.doesNotMatch(query.text, shelterSecrets);
        const v2 = await city.post('/v2/op/query', { entities: [{ idPattern: '.*', type: 'Resident' }] }, { headers });
        assert.doesNotMatch(v2.text, secrets);
        const past = await city.post(`${ld}/temporal/entityOperations/query`, { type: 'Query', entities: [{ type: 'Resident' }], temporalQ: { timerel: 'after', timeAt: '2000-01-01T00:00:00Z' } }, { headers });
        assert.doesNotMatch(past.text, secrets);
    }
});

test('a hidden attribute cannot be probed by conditions, places, orders, counts and joins', async () => {
    const count = async (query, headers) => Number((await city.get(`${ld}/entities?${query}&count=true&limit=0`, headers)).headers.get('ngsild-results-count'));
    const ask = (q) => `type=Shelter&q=${encodeURIComponent(q)}`;
    const near = 'type=Shelter&georel=near;maxDistance==1000&geometry=Point&coordinates=[141,36]&geoproperty=place';
    for (const [query, of] of [[ask('rank>=9'), 1], [ask('rank==8|rank==7'), 2], [ask('secret~="^s"'), 3], [ask('!rank'), 0], [near, 1], ['attrs=secret', 3], ['type=Resident', 2]]) {
        assert.equal(await count(query, bearer(admin)), of, query);
        const hidden = await count(query, {});
        assert.equal(hidden, query === ask('!rank') ? 3 : 0, query);
    }
    const v2 = async (query, headers) => Number((await city.get(`/v2/entities?${query}&options=count`, headers)).headers.get('fiware-total-count'));
    assert.equal(await v2('type=Shelter&q=rank>8', bearer(admin)), 1);
    assert.equal(await v2('type=Shelter&q=rank>8', {}), 0);
    assert.equal(await v2('type=Shelter&georel=near;maxDistance:1000&geometry=point&coords=36,141', {}), 0);
    const order = async (headers) => (await city.get('/v2/entities?type=Shelter&orderBy=rank&options=keyValues', headers)).json.map((e) => e.id);
    assert.deepEqual(await order(bearer(admin)), [3, 2, 1].map((i) => `urn:ngsi-ld:Shelter:${i}`));
    assert.deepEqual(await order({}), [1, 2, 3].map((i) => `urn:ngsi-ld:Shelter:${i}`));
    await city.post(`${ld}/entities`, { id: 'urn:x:link', type: 'Link', to: { type: 'Relationship', object: 'urn:ngsi-ld:Resident:1' } }, { headers: bearer(admin) });
    for (const join of ['inline', 'flat']) {
        const res = await city.get(`${ld}/entities/urn:x:link?join=${join}`);
        assert.equal(res.status, 200);
        assert.doesNotMatch(res.text, /Name|phone|090/);
        assert.match((await city.get(`${ld}/entities/urn:x:link?join=${join}`, bearer(admin))).text, /090-9/);
    }
});

test('a clerk sees the attributes that the policy names, and changes what it says', async () => {
    const one = (await city.get(`${ld}/entities/urn:ngsi-ld:Resident:1`, bearer(clerk))).json;
    assert.deepEqual(Object.keys(one).sort(), ['age', 'id', 'name', 'type']);
    const list = (await city.get(`${ld}/entities?type=Resident`, bearer(clerk))).json;
    assert.deepEqual(list.map((e) => Object.keys(e).length), [4, 4]);
    assert.equal((await city.get(`${ld}/entities?type=Resident&q=phone`, bearer(clerk))).json.length, 0);
    const past = (await city.get(`${ld}/temporal/entities/urn:ngsi-ld:Resident:1`, bearer(clerk))).json;
    assert.deepEqual(Object.keys(past).sort(), ['age', 'id', 'name', 'type']);
    for (const method of ['patch', 'delete', 'put'])
        assert.equal((await city.request(method.toUpperCase(), `${ld}/entities/urn:ngsi-ld:Resident:1`, { body: method === 'delete' ? undefined : { id: 'urn:ngsi-ld:Resident:1', type: 'Resident', name: P('x') }, headers: bearer(clerk) })).status, 403, method);
    assert.equal((await city.post(`${ld}/entities`, resident(3, '1'), { headers: bearer(clerk) })).status, 403);
    assert.equal((await city.patch(`${ld}/entities/urn:ngsi-ld:Shelter:3/attrs`, { name: P('new') }, { headers: bearer(clerk) })).status, 204);
    const body = (await city.get(`${ld}/types/Resident`, bearer(clerk))).json;
    assert.deepEqual(body.attributeDetails.map((a) => a.attributeName).sort(), ['age', 'name']);
});

test('a device changes its attribute and nothing else, at each door', async () => {
    const h = { headers: bearer(sensor) };
    assert.equal((await city.patch(`${ld}/entities/urn:ngsi-ld:Shelter:1/attrs`, { name: P('by device') }, h)).status, 204);
    const before = (await city.get(`${ld}/entities?local=true&options=sysAttrs`, bearer(admin))).text;
    const tries = [
        ['POST', `${ld}/entities`, { id: 'urn:x:new', type: 'Shelter', name: P(1) }], ['POST', `${ld}/entities`, { id: 'urn:x:new', type: 'Other' }],
        ['PATCH', `${ld}/entities/urn:ngsi-ld:Shelter:1`, { rank: P(1) }], ['PATCH', `${ld}/entities/urn:ngsi-ld:Shelter:1/attrs`, { name: P('a'), rank: P(1) }], ['PATCH', `${ld}/entities/urn:ngsi-ld:Shelter:1/attrs/rank`, P(1)],
        ['PUT', `${ld}/entities/urn:ngsi-ld:Shelter:1`, { id: 'urn:ngsi-ld:Shelter:1', type: 'Shelter', name: P('only') }], ['DELETE', `${ld}/entities/urn:ngsi-ld:Shelter:1`], ['DELETE', `${ld}/entities/urn:ngsi-ld:Shelter:1/attrs/rank`],
        ['POST', `${ld}/entities/urn:ngsi-ld:Shelter:1/attrs`, { type: 'Resident', name: P('a') }], ['POST', `${ld}/entities/urn:ngsi-ld:Shelter:1/attrs`, { scope: '/x', name: P('a') }],
        ['POST', `${ld}/temporal/entities`, { id: 'urn:ngsi-ld:Shelter:1', type: 'Shelter', rank: [P(1, { observedAt: '2020-01-01T00:00:00Z' })] }], ['POST', `${ld}/temporal/entities/urn:ngsi-ld:Shelter:1/attrs`, { rank: [P(1, { observedAt: '2020-01-01T00:00:00Z' })] }], ['DELETE', `${ld}/temporal/entities/urn:ngsi-ld:Shelter:1`], ['DELETE', `${ld}/temporal/entities/urn:ngsi-ld:Shelter:1/attrs/rank`],
        ['POST', '/v2/entities', { id: 'urn:x:new', type: 'Shelter' }], ['POST', '/v2/entities/urn:ngsi-ld:Shelter:1/attrs', { rank: { value: 1 } }], ['PATCH', '/v2/entities/urn:ngsi-ld:Shelter:1/attrs', { rank: { value: 1 } }], ['PUT', '/v2/entities/urn:ngsi-ld:Shelter:1/attrs', { name: { value: 1 } }], ['PUT', '/v2/entities/urn:ngsi-ld:Shelter:1/attrs/rank', { value: 1 }], ['DELETE', '/v2/entities/urn:ngsi-ld:Shelter:1'], ['DELETE', '/v2/entities/urn:ngsi-ld:Shelter:1/attrs/rank'],
        ['POST', '/v2/op/update', { actionType: 'append', entities: [{ id: 'urn:ngsi-ld:Shelter:1', type: 'Shelter', rank: { value: 1 } }] }], ['POST', '/v2/op/update', { actionType: 'delete', entities: [{ id: 'urn:ngsi-ld:Shelter:1', type: 'Shelter' }] }],
        ['POST', `${ld}/subscriptions`, { type: 'Subscription', entities: [{ type: 'Shelter' }], notification: { endpoint: { uri: `${receiver.url}/no` } } }], ['POST', `${ld}/jsonldContexts`, { '@context': {} }], ['POST', '/link/v1/keys', { name: 'me', policies: ['admin'] }], ['PUT', '/link/v1/policies/device', { rules: [{ rights: ['admin'] }] }], ['DELETE', '/link/v1/policies/everyone'], ['DELETE', '/link/v1/keys/root'], ['GET', '/link/v1/keys'], ['GET', '/link/v1/policies'], ['GET', '/link/v1/stream'],
    ];
    for (const [method, door, body] of tries) {
        const res = await city.request(method, door, { body, ...h });
        assert.ok([403, 404].includes(res.status), `${method} ${door}: ${res.status} ${res.text}`);
    }
    for (const [kind, body] of [['create', [{ id: 'urn:x:new', type: 'Shelter' }]], ['upsert', [{ ...shelter(1), rank: P(0) }]], ['update', [{ id: 'urn:ngsi-ld:Shelter:1', type: 'Shelter', rank: P(0) }]], ['merge', [{ id: 'urn:ngsi-ld:Shelter:1', type: 'Shelter', rank: P(0) }]], ['delete', ['urn:ngsi-ld:Shelter:1']]]) {
        const res = await city.post(`${ld}/entityOperations/${kind}`, body, h);
        assert.ok([207, 400, 403, 404].includes(res.status), `${kind}: ${res.status} ${res.text}`);
    }
    assert.equal((await city.delete(`${ld}/entities?type=Shelter`, bearer(sensor))).status >= 400, true);
    assert.equal((await city.get(`${ld}/entities?local=true&options=sysAttrs`, bearer(admin))).text, before);
});

test('only my own: what a key made is for that key, in all that it may do', async () => {
    const [a, b] = owner.map((k) => ({ headers: bearer(k) }));
    await policy('personal', { types: ['Resident', 'Note'] });
    assert.equal((await city.post(`${ld}/entities`, { id: 'urn:x:note:a', type: 'Note', text: P('from a') }, a)).status, 201);
    assert.equal((await city.post('/v2/entities', { id: 'note-b', type: 'Note', text: { value: 'from b' } }, b)).status, 201);
    assert.equal((await city.get(`${ld}/entities?type=Note`, a.headers)).json.length, 1);
    assert.match((await city.get(`${ld}/entities?type=Note`, a.headers)).text, /from a/);
    assert.match((await city.get('/v2/entities?type=Note', b.headers)).text, /from b/);
    assert.doesNotMatch((await city.get('/v2/entities?type=Note', b.headers)).text, /from a/);
    assert.equal((await city.get(`${ld}/entities/urn:x:note:a`, b.headers)).status, 404);
    assert.equal((await city.patch(`${ld}/entities/urn:x:note:a/attrs`, { text: P('stolen') }, b)).status, 404);
    assert.equal((await city.delete(`${ld}/entities/urn:x:note:a`, b.headers)).status, 404);
    assert.equal((await city.put(`${ld}/entities/urn:x:note:a`, { id: 'urn:x:note:a', type: 'Note', text: P('replaced') }, a)).status, 204);
    assert.equal((await city.patch(`${ld}/entities/urn:x:note:a/attrs`, { text: P('mine') }, a)).status, 204);
    const whole = await city.get(`${ld}/entities/urn:x:note:a?options=sysAttrs`, a.headers);
    assert.doesNotMatch(whole.text, /creator/);
    assert.equal((await city.get(`${ld}/entities?type=Note`)).json.length, 0);
    assert.equal((await city.delete(`${ld}/entities/urn:x:note:a`, a.headers)).status, 204);
    assert.equal((await city.get(`${ld}/temporal/entities/urn:x:note:a`, b.headers)).status, 404);
    assert.match((await city.get(`${ld}/temporal/entities/urn:x:note:a`, a.headers)).text, /from a/);
});

test('notifications tell what the owner may hear, at the moment of the change', async () => {
    const subscribe = async (name, headers, more) => {
        const res = await city.post(`${ld}/subscriptions`, { id: `urn:x:sub:${name}`, type: 'Subscription', entities: [{ type: 'Resident' }, { type: 'Shelter' }], notificationTrigger: ['entityCreated', 'entityUpdated', 'entityDeleted'], notification: { endpoint: { uri: `${receiver.url}/${name}` }, showChanges: true }, ...more }, { headers });
        assert.equal(res.status, 201, res.text);
    };
    await subscribe('public', {});
    await subscribe('clerk', bearer(clerk));
    await subscribe('root', bearer(admin));
    await subscribe('probe', {}, { q: 'rank<100' });
    const set = (id, attrs) => city.patch(`${ld}/entities/${id}/attrs`, attrs, { headers: bearer(admin) });
    await set('urn:ngsi-ld:Resident:2', { phone: P('090-3') });
    await set('urn:ngsi-ld:Resident:2', { age: P(60) });
    await set('urn:ngsi-ld:Shelter:2', { secret: P('s9') });
    await set('urn:ngsi-ld:Shelter:2', { name: P('last') });
    await city.delete(`${ld}/entities/urn:ngsi-ld:Resident:2`, bearer(admin));
    await eventually(() => receiver.got('root').length === 5);
    await eventually(() => receiver.got('clerk').length >= 3 && receiver.got('public').length >= 1);
    await sleep(300);
    assert.equal(receiver.got('probe').length, 0);
    assert.deepEqual(receiver.got('public').map((n) => n.body.data[0].id), ['urn:ngsi-ld:Shelter:2']);
    assert.equal(receiver.got('clerk').length, 3);
    for (const n of [...receiver.got('public'), ...receiver.got('clerk')])
        assert.doesNotMatch(JSON.stringify(n.body), /090-|"s\d"|phone|secret|rank|place/);
    assert.match(JSON.stringify(receiver.got('root')), /090-3/);
    assert.equal((await city.get(`${ld}/subscriptions/urn:x:sub:clerk`)).status, 200); // the machine itself manages
    assert.equal((await city.get(`${ld}/subscriptions/urn:x:sub:clerk`, far)).status, 404);
    assert.doesNotMatch((await city.get(`${ld}/subscriptions`, far)).text, /sub:(clerk|root)|@owner/);
    assert.doesNotMatch((await city.get('/link/v1/deliveries', far)).text, /sub:(clerk|root)/);
    assert.equal((await city.patch(`${ld}/subscriptions/urn:x:sub:root`, { notification: { endpoint: { uri: `${receiver.url}/thief` } } }, { headers: bearer(clerk) })).status, 404);
    assert.equal((await city.delete(`${ld}/subscriptions/urn:x:sub:root`, bearer(clerk))).status, 404);
});

test('subscriptions of NGSIv2 are bound in the same way', async () => {
    const make = async (headers, name) => {
        const res = await city.post('/v2/subscriptions', { subject: { entities: [{ idPattern: '.*' }] }, notification: { http: { url: `${receiver.url}/${name}` } } }, { headers });
        assert.equal(res.status, 201, res.text);
        return res.headers.get('location');
    };
    const [mine, open] = [await make(bearer(admin), 'v2-root'), await make({}, 'v2-public')];
    assert.equal((await city.post('/v2/subscriptions', { subject: { entities: [{ idPattern: '.*' }] }, notification: { http: { url: `${receiver.url}/no` } } }, { headers: bearer(sensor) })).status, 403);
    assert.equal((await city.patch(mine, { throttling: 0 }, { headers: bearer(admin) })).status, 204);
    await city.patch(`${ld}/entities/urn:ngsi-ld:Resident:1/attrs`, { phone: P('090-8') }, { headers: bearer(admin) });
    await city.patch(`${ld}/entities/urn:ngsi-ld:Shelter:1/attrs`, { name: P('two') }, { headers: bearer(admin) });
    await eventually(() => receiver.got('v2-root').length === 2 && receiver.got('v2-public').length >= 1);
    assert.match(JSON.stringify(receiver.got('v2-root')), /090-8/);
    assert.equal(receiver.got('v2-public').length, 1, JSON.stringify(receiver.got('v2-public').map((n) => n.body)));
    assert.doesNotMatch(JSON.stringify(receiver.got('v2-public')), /090-|"s\d"|phone|secret|rank|place|creator/);
    assert.doesNotMatch((await city.get('/v2/subscriptions', far)).text, /v2-root|@owner/);
    assert.match((await city.get('/v2/subscriptions', far)).text, /v2-public/);
    assert.equal((await city.get(mine, far)).status, 404);
    assert.equal((await city.delete(mine, bearer(clerk))).status, 404);
    assert.equal((await city.delete(open)).status, 204);
});

test('a stream tells the same', async () => {
    const open = async (headers) => {
        const stop = new AbortController();
        const res = await fetch(`${city.url}/link/v1/stream?format=simplified`, { headers, signal: stop.signal });
        const s = { text: '', stop };
        (async () => { for await (const part of res.body) s.text += Buffer.from(part).toString(); })().catch(() => {});
        return s;
    };
    const streams = [await open({}), await open(bearer(admin))];
    await city.patch(`${ld}/entities/urn:ngsi-ld:Resident:1/attrs`, { phone: P('090-7') }, { headers: bearer(admin) });
    await city.patch(`${ld}/entities/urn:ngsi-ld:Shelter:1/attrs`, { name: P('end') }, { headers: bearer(admin) });
    await eventually(() => streams.every((s) => s.text.includes('"end"')));
    assert.match(streams[1].text, /090-7/);
    assert.doesNotMatch(streams[0].text, /090-|Resident|secret|rank/);
    for (const s of streams) s.stop.abort();
});

test('explain says which rule it was', async () => {
    const explain = async (query) => (await city.get(`/link/v1/access/explain?${query}`)).json;
    assert.deepEqual(await explain('entity=urn:ngsi-ld:Resident:1'), { allowed: false, why: 'it is personal and no rule names it' });
    assert.deepEqual(await explain('key=clerk&entity=urn:ngsi-ld:Resident:1&attr=age'), { allowed: true, why: 'a rule says so', policy: 'clerk', rule: 0 });
    assert.deepEqual(await explain('key=clerk&entity=urn:ngsi-ld:Shelter:1&attr=secret'), { allowed: false, why: 'a rule says so', policy: 'everyone', rule: 0 });
    assert.equal((await explain('key=root&type=Resident&right=write')).allowed, true);
    assert.equal((await explain('key=nobody&type=Shelter')).allowed, false);
    assert.equal((await city.get('/link/v1/access/explain?type=Shelter', far)).status, 403);
});

test('a revoked key ends with the next request and the next notification; an expired one too', async () => {
    await city.patch(`${ld}/entities/urn:ngsi-ld:Resident:1/attrs`, { age: P(1) }, { headers: bearer(admin) });
    await eventually(() => receiver.got('clerk').some((n) => n.body.data[0].age?.value === 1));
    assert.equal((await city.delete('/link/v1/keys/clerk')).status, 204);
    const res = await city.get(`${ld}/entities?type=Shelter`, bearer(clerk));
    assert.equal(res.status, 401);
    assert.match(res.headers.get('www-authenticate'), /invalid_token/);
    const n = receiver.got('clerk').length;
    await city.patch(`${ld}/entities/urn:ngsi-ld:Resident:1/attrs`, { age: P(2) }, { headers: bearer(admin) });
    await eventually(() => receiver.got('root').some((m) => m.body.data[0].age?.value === 2));
    await sleep(200);
    assert.equal(receiver.got('clerk').length, n);
    assert.equal((await city.delete('/link/v1/keys/clerk')).status, 404);
    const again = await newKey('clerk', ['clerk']);
    assert.notEqual(again, clerk);
    const over = await newKey('over', ['reader'], { expiresAt: '2020-01-01T00:00:00Z' });
    assert.equal((await city.get(`${ld}/types`, bearer(over))).status, 401);
    assert.equal((await city.get(`${ld}/types`, bearer(`mk_${'x'.repeat(43)}`))).status, 401);
});

test('a key is of one tenant', async () => {
    const other = await city.request('POST', '/link/v1/keys', { body: { name: 'o', policies: ['admin'] }, headers: { 'NGSILD-Tenant': 'other' } });
    assert.equal(other.status, 201, other.text);
    const h = bearer(other.json.key);
    assert.equal((await city.post(`${ld}/entities`, { id: 'urn:o:1', type: 'O' }, { headers: { ...h, 'NGSILD-Tenant': 'other' } })).status, 201);
    assert.equal((await city.post(`${ld}/entities`, { id: 'urn:o:1', type: 'O' }, { headers: h })).status, 403);
    assert.equal((await city.get(`${ld}/entities?type=Shelter`, h)).json.length, 0);
    assert.equal((await city.get('/link/v1/keys', { ...far, ...h })).status, 403);
    assert.equal((await city.get('/link/v1/keys', { ...far, ...h, 'NGSILD-Tenant': 'other' })).status, 200);
});

test('what one reader was shown is not shown to another who sees less, before and after a policy changes', async () => {
    const parts = (e) => Object.keys(e).filter((k) => /^[ab]$/.test(k)).join('');
    const list = async (headers) => { // in a list and alone, whichever made the text
        const seen = (await city.get(`${ld}/entities?type=Kiosk`, headers)).json.map(parts);
        const one = await city.get(`${ld}/entities/urn:x:kiosk`, headers);
        assert.deepEqual(one.status === 200 ? [parts(one.json)] : [], seen);
        return seen;
    };
    const rule = (attr, effect) => ({ rules: [{ effect, rights: ['read'], types: ['Kiosk'], attrs: [attr] }] });
    assert.equal((await city.post(`${ld}/entities`, { id: 'urn:x:kiosk', type: 'Kiosk', a: P(1), b: P(2) })).status, 201);
    await policy('not-a', rule('a', 'deny'));
    await policy('not-b', rule('b', 'deny'));
    const withoutA = bearer(await newKey('kiosk-a', ['not-a'])), withoutB = bearer(await newKey('kiosk-b', ['not-b']));
    const elsewhere = bearer((await city.post('/link/v1/keys', { name: 'kiosk-c', policies: ['reader'] }, { headers: { 'NGSILD-Tenant': 'kiosks' } })).json.key);
    for (let i = 0; i < 3; i++) { // the first time they are made, then they are kept
        assert.deepEqual(await list(), ['ab']);
        assert.deepEqual(await list(withoutA), ['b']);
        assert.deepEqual(await list(withoutB), ['a']);
        assert.deepEqual((await city.get(`${ld}/entities?type=Kiosk`, elsewhere)).json, []);
        assert.equal((await city.get(`${ld}/entities/urn:x:kiosk`, elsewhere)).status, 404);
    }
    await policy('not-a', rule('b', 'deny'));
    assert.deepEqual(await list(withoutA), ['a']);
    await policy('not-a', { rules: [{ effect: 'deny', rights: ['read'], types: ['Kiosk'] }] });
    assert.deepEqual(await list(withoutA), []);
    assert.equal((await city.delete(`${ld}/entities/urn:x:kiosk`)).status, 204);
    assert.deepEqual(await list(), []);
});

test('nothing is shown any more once a policy that hides it was answered, however often it is asked for', async () => {
    const id = 'urn:x:booth', hide = (attr) => policy('booth', { rules: [{ effect: 'deny', rights: ['read'], types: ['Booth'], attrs: [attr] }] });
    assert.equal((await city.post(`${ld}/entities`, { id, type: 'Booth', a: P(1), b: P(2) })).status, 201);
    await hide('a');
    const reader = bearer(await newKey('booth', ['booth']));
    let hidden = 'a', changes = 0, asked = 0, done = false;
    const ask = async () => {
        while (!done) {
            const before = hidden, at = changes;
            const { json } = await city.get(`${ld}/entities/${id}`, reader);
            if (before && at === changes) assert.ok(!(before in json), `${before} shows`);
            assert.ok('a' in json || 'b' in json);
            asked++;
        }
    };
    const change = async () => {
        for (let i = 0; i < 20; i++) {
            const next = hidden === 'a' ? 'b' : 'a';
            hidden = undefined; // on its way
            changes++;
            await hide(next);
            hidden = next;
            const upto = asked + 20;
            await eventually(() => asked >= upto, 60000, 5);
        }
    };
    await Promise.all([ask(), ask(), ask(), ask(), change().finally(() => { done = true; })]);
    assert.equal((await city.delete(`${ld}/entities/${id}`)).status, 204);
});

test('quotas: requests and writes a second, entities, subscriptions', async () => {
    const slow = await newKey('slow', ['writer'], { quota: { writes_s: 1, entities: 2, subscriptions: 1 } });
    const h = { headers: bearer(slow) };
    const codes = [];
    for (let i = 0; i < 4; i++) {
        const res = await city.post(`${ld}/entities`, { id: `urn:q:${i}`, type: 'Q' }, h);
        codes.push(res.status);
        if (res.status !== 429) continue;
        assert.match(res.headers.get('content-type'), /problem\+json/);
        assert.ok(Number(res.headers.get('retry-after')) >= 1);
    }
    assert.ok(codes.includes(429), String(codes));
    assert.equal((await city.get(`${ld}/types`, bearer(slow))).status, 200);
    const patient = async (fn) => {
        for (;;) {
            const res = await fn();
            if (res.status !== 429) return res;
            await sleep(200);
        }
    };
    const made = [];
    for (let i = 10; i < 14; i++) made.push((await patient(() => city.post(`${ld}/entities`, { id: `urn:q:${i}`, type: 'Q' }, h))).status);
    assert.ok(made.includes(403), String(made));
    assert.equal((await city.get(`${ld}/entities?type=Q&count=true&limit=0`)).headers.get('ngsild-results-count'), '2');
    const sub = () => patient(() => city.post(`${ld}/subscriptions`, { type: 'Subscription', entities: [{ type: 'Q' }], notification: { endpoint: { uri: `${receiver.url}/q` } } }, h));
    assert.equal((await sub()).status, 201);
    assert.equal((await sub()).status, 403);
});

test('the commands work on a store at rest, and ask the city that serves', async () => {
    const args = ['--data', dir, ...(city.store ? ['--store', city.store] : [])];
    const here = ['--http.port=' + city.port, ...args];
    const made = await commandLater(['key', 'new', 'cli', '--policy', 'device', ...here]);
    assert.equal(made.code, 0, made.err);
    const key = JSON.parse(made.out).key;
    // on PostgreSQL the command is another process on the same database: the city notices by itself
    await eventually(async () => (await city.patch(`${ld}/entities/urn:ngsi-ld:Shelter:1/attrs`, { name: P('by cli') }, { headers: bearer(key) })).status === 204);
    const put = command(['policy', 'set', 'retention', '-', ...args.slice(0, 1), mkdtempSync(path.join(tmpdir(), 'marugoto-keys-'))], { input: '{"rules": [{"keep": "P1Y"}]}' });
    assert.equal(put.code, 0, put.err);
    assert.match(put.out, /"version":1/);
    assert.equal(command(['policy', 'set', 'x', '/no/such/file', '--data', dir]).code, 1);
    assert.equal(command(['key', 'new']).code, 2);
    assert.equal((await commandLater(['key', 'revoke', 'cli', ...here])).code, 0);
    await eventually(async () => (await city.get(`${ld}/types`, bearer(key))).status === 401);
    assert.match((await commandLater(['key', 'list', ...here])).out, /"name":"cli"/);
});

test('no log line holds a key', () => {
    assert.doesNotMatch(city.errors, /mk_/);
    for (const key of [admin, clerk, sensor, ...owner]) assert.ok(!city.errors.includes(key.slice(3)));
});

await run(async () => {
    await receiver.down();
    await city.stop();
});
