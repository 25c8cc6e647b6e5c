#!/usr/bin/env node
// Context source registrations: clauses 4.3.6, 4.20, 5.2.9, 5.9, 5.10, 5.12.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, startCity } from '../lib/city.mjs';
import { run, test } from '../lib/tap.mjs';

const PATH = '/ngsi-ld/v1/csourceRegistrations';
const BAD = 'https://uri.etsi.org/ngsi-ld/errors/BadRequestData';
const CONFLICT = 'https://uri.etsi.org/ngsi-ld/errors/Conflict';

const city = await startCity();

let n = 0;
const reg = (more = {}) => ({
    id: `urn:ngsi-ld:ContextSourceRegistration:${++n}`, type: 'ContextSourceRegistration',
    information: [{ entities: [{ type: 'Building' }] }], endpoint: 'http://source.example:1026', ...more,
});
const add = async (more) => {
    const body = reg(more);
    const res = await city.post(PATH, body);
    assert.equal(res.status, 201, res.text);
    return body;
};
const drop = (...list) => Promise.all(list.map((r) => city.delete(`${PATH}/${r.id}`)));
const ids = (res) => res.json.map((r) => r.id).sort();

test('a registration is made, read, changed and deleted', async () => {
    const full = reg({
        registrationName: 'weather', description: 'of the coast', tenant: 'city_b',
        information: [{ entities: [{ id: 'urn:ngsi-ld:Vehicle:1', type: 'Vehicle' }, { idPattern: '^urn:.*47$', type: ['Car', 'Van'] }],
            propertyNames: ['speed', 'brandName'], relationshipNames: ['isParked'] }],
        location: { type: 'Point', coordinates: [8.68, 49.41] },
        observationSpace: { type: 'Polygon', coordinates: [[[0, 0], [1, 0], [1, 1], [0, 0]]] },
        operationSpace: { type: 'Point', coordinates: [1, 1] },
        expiresAt: '2099-01-01T00:00:00Z', endpoint: 'https://source.example/broker/ngsi-ld/v1',
        contextSourceInfo: [{ key: 'X-Auth-Token', value: 'abc' }, { key: 'accept', value: 'application/json' }, { key: 'ngsildConformance', value: '1.5' }],
        scope: ['/Madrid/Centro', '/Madrid'], mode: 'redirect', operations: ['retrieveOps', 'updateEntity'],
        refreshRate: 'PT5M', management: { localOnly: true, timeout: 500, cacheDuration: 'PT1M', cooldown: 1000 },
        datasetId: ['urn:ds:1', '@none'], contextSourceAlias: 'city-b', sourceType: { kind: ['sensor', 1.0] },
    });
    const text = JSON.stringify({ ...full, status: 'failed', timesSent: 9, createdAt: 'x' });
    const made = await city.post(PATH, text.replace('["sensor",1]', '["sensor",1.0]'));
    assert.equal(made.status, 201, made.text);
    assert.equal(made.headers.get('location'), `${PATH}/${full.id}`);
    const read = await city.get(made.headers.get('location'));
    assert.equal(read.status, 200);
    assert.deepEqual(read.json, full);
    assert.match(read.headers.get('link'), /json-ld#context/);
    assert.match(read.text, /1\.0/);
    const sys = await city.get(`${PATH}/${full.id}?options=sysAttrs`);
    assert.match(sys.json.createdAt, /Z$/);
    assert.match(sys.json.modifiedAt, /Z$/);

    const patched = await city.patch(`${PATH}/${full.id}`, { description: 'of the hills', scope: null, sourceType: 'urn:ngsi-ld:null', management: { timeout: 1 } });
    assert.equal(patched.status, 204, patched.text);
    const { scope, sourceType, ...rest } = full;
    assert.deepEqual((await city.get(`${PATH}/${full.id}`)).json, { ...rest, description: 'of the hills', management: { timeout: 1 } });
    assert.equal((await city.delete(`${PATH}/${full.id}`)).status, 204);
    assert.equal((await city.get(`${PATH}/${full.id}`)).status, 404);
    assert.equal((await city.delete(`${PATH}/${full.id}`)).status, 404);
    assert.equal((await city.patch(`${PATH}/${full.id}`, { description: 'x' })).status, 404);
    // its id is free again
    assert.equal((await city.post(PATH, full)).status, 201);
    await drop(full);
});

test('an id is given, names follow the context, JSON-LD carries it', async () => {
    const context = { Building: 'https://example.org/Building', level: 'https://example.org/level', own: 'https://example.org/own' };
    const { id, ...body } = reg({ information: [{ entities: [{ type: 'Building' }], propertyNames: ['level'] }], own: 7 });
    const made = await city.post(PATH, { ...body, '@context': context }, { type: 'application/ld+json' });
    assert.equal(made.status, 201, made.text);
    const at = made.headers.get('location');
    assert.match(at, /ContextSourceRegistration:[0-9a-f-]{36}$/);
    const bare = (await city.get(at)).json;
    assert.deepEqual(bare.information, [{ entities: [{ type: 'https://example.org/Building' }], propertyNames: ['https://example.org/level'] }]);
    assert.equal(bare['https://example.org/own'], 7);
    const ld = (await city.get(at, { Accept: 'application/ld+json' })).json;
    assert.ok(ld['@context']);
    await city.delete(at);
});

test('what a registration may not say', async () => {
    const wrong = [
        [{ type: 'Registration' }, 'type'], [{ endpoint: undefined }, 'endpoint'], [{ endpoint: 'xxx' }, 'endpoint'],
        [{ endpoint: 'ftp://a/' }, 'endpoint'], [{ endpoint: 'http:///a' }, 'endpoint'], [{ endpoint: 'http://a/?x' }, 'endpoint'],
        [{ information: undefined }, 'information'], [{ information: null }, 'null'], [{ information: [] }, 'information'],
        [{ information: [{}] }, 'information'], [{ information: [{ entities: [] }] }, 'entities'],
        [{ information: [{ entities: [{ id: 'urn:x:1' }] }] }, 'type'], [{ information: [{ entities: [{ type: 'A', id: 'no uri' }] }] }, 'URI'],
        [{ information: [{ entities: [{ type: 'A', idPattern: '(' }] }] }, ''], [{ information: [{ entities: [{ type: 'A|B' }] }] }, 'names'],
        [{ information: [{ propertyNames: 'a' }] }, 'array'], [{ information: [{ propertyNames: ['a b'] }] }, 'names'],
        [{ information: [{ what: [1] }] }, 'what'], [{ id: 'no uri' }, 'URI'],
        [{ mode: 'both' }, 'mode'], [{ operations: ['fly'] }, 'operations'], [{ operations: [] }, 'operations'],
        [{ location: { type: 'Point', coordinates: [400, 0] } }, 'location'], [{ location: 'here' }, 'location'],
        [{ expiresAt: 'soon' }, 'date-time'], [{ expiresAt: '2001-01-01T00:00:00Z' }, 'past'],
        [{ observationInterval: { endAt: '2021-01-01T00:00:00Z' } }, 'startAt'],
        [{ managementInterval: { startAt: '2021-01-01T00:00:00Z', endAt: '2020-01-01T00:00:00Z' } }, 'interval'],
        [{ contextSourceInfo: [{ key: 'X', value: 1 }] }, 'value'], [{ contextSourceInfo: [{ key: 'X' }] }, 'key and value'],
        [{ contextSourceInfo: [{ key: 5, value: 'v' }] }, 'key'], [{ contextSourceInfo: [{ key: 'Host', value: 'v' }] }, 'header'],
        [{ contextSourceInfo: [{ key: 'X', value: 'a\r\nB: c' }] }, 'header'], [{ contextSourceInfo: [{ key: 'accept', value: 'text/plain' }] }, 'accept'],
        [{ contextSourceInfo: [{ key: 'jsonldContext', value: 'x' }] }, 'jsonldContext'], [{ contextSourceInfo: [{ key: 'ngsildConformance', value: 'new' }] }, 'version'],
        [{ scope: 'Madrid' }, 'scope'], [{ scope: [] }, 'scope'], [{ refreshRate: '5m' }, 'duration'],
        [{ management: 'yes' }, 'management'], [{ management: { cacheDuration: 'bogus' } }, 'cacheDuration'], [{ management: { cooldown: 0 } }, 'cooldown'],
        [{ management: { timeout: -5 } }, 'timeout'], [{ management: { localOnly: 'yes' } }, 'localOnly'], [{ management: { x: 1 } }, 'x'],
        [{ datasetId: ['x'] }, 'datasetId'], [{ contextSourceAlias: 'a b' }, 'contextSourceAlias'], [{ registrationName: '' }, 'registrationName'],
        [{ 'a b': 1 }, 'a b'], [{ own: null }, 'null'],
        [{ mode: 'auxiliary', operations: ['updateEntity'] }, 'auxiliary'],
        [{ mode: 'exclusive' }, 'id'], [{ mode: 'exclusive', information: [{ entities: [{ type: 'A', idPattern: 'x' }], propertyNames: ['a'] }] }, 'id'],
        [{ mode: 'exclusive', information: [{ propertyNames: ['a'] }] }, 'id'],
        [{ mode: 'exclusive', information: [{ entities: [{ type: 'A', id: 'urn:x:1' }] }] }, 'propertyNames'],
    ];
    for (const [more, says] of wrong) {
        const res = await city.post(PATH, reg(more));
        assert.equal(res.status, 400, `${JSON.stringify(more)}: ${res.text}`);
        assert.equal(res.json.type, BAD);
        assert.ok(res.json.detail.includes(says), `${JSON.stringify(more)}: ${res.text}`);
    }
    assert.equal((await city.post(PATH, '{', { type: 'application/json' })).json.type, 'https://uri.etsi.org/ngsi-ld/errors/InvalidRequest');
    assert.equal((await city.post(PATH, reg(), { type: 'text/plain' })).status, 415);
    const one = await add();
    const again = await city.post(PATH, { ...reg(), id: one.id });
    assert.equal(again.status, 409);
    assert.equal(again.json.type, 'https://uri.etsi.org/ngsi-ld/errors/AlreadyExists');
    for (const bad of [{ id: 'urn:other:1' }, { type: 'Other' }, { endpoint: null }, { information: null }, { information: [] }, { expiresAt: '2001-01-01T00:00:00Z' }, { mode: 'exclusive' }])
        assert.equal((await city.patch(`${PATH}/${one.id}`, bad)).status, 400, JSON.stringify(bad));
    assert.equal((await city.get(`${PATH}/nouri`)).status, 400);
    assert.equal((await city.patch(`${PATH}/${one.id}`, { id: one.id, type: 'ContextSourceRegistration', endpoint: 'http://new.example:1' })).status, 204);
    assert.equal((await city.get(`${PATH}/${one.id}`)).json.endpoint, 'http://new.example:1');
    await drop(one);
});

test('auxiliary sources may be read, also without naming operations', async () => {
    for (const operations of [undefined, ['retrieveOps'], ['queryEntity'], ['retrieveEntity', 'queryEntity']])
        await drop(await add({ mode: 'auxiliary', operations }));
});

const single = (id, names, more) => ({ information: [{ entities: [{ id, type: 'Vehicle' }], propertyNames: names }], ...more });

test('an exclusive registration stands alone', async () => {
    const id = 'urn:ngsi-ld:Vehicle:e1';
    const first = await add(single(id, ['speed'], { mode: 'exclusive' }));
    const refused = async (more) => {
        const res = await city.post(PATH, reg(more));
        assert.equal(res.status, 409, res.text);
        assert.equal(res.json.type, CONFLICT);
    };
    await refused(single(id, ['speed'], { mode: 'exclusive' }));
    await refused(single(id, ['fuel', 'speed'], { mode: 'redirect' }));
    await refused({ mode: 'redirect', information: [{ entities: [{ type: 'Vehicle' }] }] });
    await refused({ mode: 'redirect', information: [{ entities: [{ type: 'Vehicle', idPattern: ':e1$' }] }] });
    await refused({ mode: 'redirect', information: [{ propertyNames: ['speed'] }] });
    const fine = [await add(single(id, ['fuel'], { mode: 'exclusive' })), await add(single('urn:ngsi-ld:Vehicle:e2', ['speed'], { mode: 'exclusive' })),
        await add(single(id, ['speed'])), await add(single(id, ['speed'], { mode: 'auxiliary' })),
        await add({ mode: 'redirect', information: [{ entities: [{ type: 'Vehicle', idPattern: ':x$' }] }] })];
    assert.equal((await city.patch(`${PATH}/${fine[0].id}`, { information: single(id, ['speed']).information })).status, 409);
    assert.equal((await city.patch(`${PATH}/${fine[2].id}`, { mode: 'redirect' })).status, 409);
    assert.equal((await city.patch(`${PATH}/${first.id}`, { description: 'it does not stand in its own way' })).status, 204);
    await drop(first, ...fine);
    const pair = [await add(single(id, ['speed'], { mode: 'redirect' })), await add(single(id, ['speed'], { mode: 'redirect' }))];
    await refused(single(id, ['speed'], { mode: 'exclusive' }));
    await drop(...pair);
});

test('two exclusive registrations at once: one is refused', async () => {
    const res = await Promise.all(Array.from({ length: 8 }, () => city.post(PATH, reg(single('urn:ngsi-ld:Vehicle:race', ['speed'], { mode: 'exclusive' })))));
    assert.deepEqual(res.map((r) => r.status).sort(), [201, ...Array(7).fill(409)]);
    await city.delete(res.find((r) => r.status === 201).headers.get('location'));
});

test('proxied registrations and entities that are here', async () => {
    const id = 'urn:ngsi-ld:Vehicle:here';
    assert.equal((await city.post('/ngsi-ld/v1/entities?local=true', { id, type: 'Vehicle', speed: 5, brand: 'x' })).status, 201);
    const tries = [[single(id, ['speed'], { mode: 'exclusive' }), 409], [single(id, ['other'], { mode: 'exclusive' }), 201],
        [single(id, ['speed'], { mode: 'redirect' }), 409], [single(id, ['other'], { mode: 'redirect' }), 201],
        [{ mode: 'redirect', information: [{ entities: [{ type: 'Vehicle' }] }] }, 409],
        [{ mode: 'redirect', information: [{ entities: [{ type: 'Vehicle', idPattern: 'here$' }] }] }, 409],
        [{ mode: 'redirect', information: [{ entities: [{ type: 'Vehicle', idPattern: 'gone$' }] }] }, 201],
        [{ mode: 'redirect', information: [{ propertyNames: ['brand'] }] }, 409],
        [{ mode: 'redirect', information: [{ propertyNames: ['brand'], entities: [{ type: 'Boat' }] }] }, 201],
        [single(id, ['speed']), 201]];
    for (const [more, status] of tries) {
        const body = reg(more);
        const res = await city.post(PATH, body);
        assert.equal(res.status, status, JSON.stringify(more) + res.text);
        if (status === 409) assert.equal(res.json.type, CONFLICT);
        await drop(body);
    }
    await city.delete(`/ngsi-ld/v1/entities/${id}?local=true`);
});

test('discovery by entities and attributes (clause 5.12)', async () => {
    const a = await add();
    const b = await add({ information: [{ entities: [{ type: 'Building' }], propertyNames: ['name', 'subCategory'], relationshipNames: ['locatedAt'] },
        { entities: [{ id: 'urn:b:7', type: 'Tower' }], propertyNames: ['height'] }] });
    const c = await add({ information: [{ propertyNames: ['name'] }] });
    const d = await add({ information: [{ entities: [{ idPattern: '^urn:b:[0-9]$', type: ['House', 'Hut'] }] }] });
    const found = async (query) => {
        const res = await city.get(`${PATH}?${query}`);
        assert.equal(res.status, 200, res.text);
        return ids(res);
    };
    const set = (...list) => list.map((r) => r.id).sort();
    assert.deepEqual(await found('type=Building'), set(a, b, c));
    assert.deepEqual(await found('type=Tower'), set(b, c));
    assert.deepEqual(await found('type=Hut|Tower'), set(b, c, d));
    assert.deepEqual(await found('type=(Hut;House)'), set(c, d));
    assert.deepEqual(await found('type=(Hut;Tower)'), set(c));
    assert.deepEqual(await found('attrs=name'), set(a, b, c, d));
    assert.deepEqual(await found('attrs=locatedAt&type=Building'), set(a, b));
    assert.deepEqual(await found('attrs=height&type=Building'), set(a));
    assert.deepEqual(await found('q=height>5;name==%22x%22&type=Building'), set(a, b, c));
    assert.deepEqual(await found('type=Tower&id=urn:b:7'), set(b, c));
    assert.deepEqual(await found('type=Tower&id=urn:b:8'), set(c));
    assert.deepEqual(await found('type=Tower&idPattern=:7$'), set(b, c));
    assert.deepEqual(await found('type=House&id=urn:b:8,urn:x'), set(c, d));
    assert.deepEqual(await found('type=House&id=urn:x'), set(c));
    assert.deepEqual(await found('type=House&idPattern=nothing'), set(c, d)); // who knows
    // only what matches is shown
    const tower = (await city.get(`${PATH}?type=Tower`)).json.find((r) => r.id === b.id);
    assert.deepEqual(tower.information, [b.information[1]]);
    assert.deepEqual((await city.get(`${PATH}?type=Tower&options=sysAttrs`)).json.every((r) => r.createdAt), true);
    // pages
    const page = await city.get(`${PATH}?type=Building&limit=1&offset=1&count=true`);
    assert.deepEqual(ids(page), [b.id]);
    assert.equal(page.headers.get('ngsild-results-count'), '3');
    assert.match(page.headers.get('link'), /<\/ngsi-ld\/v1\/csourceRegistrations\?type=Building&count=true&limit=1&offset=0>;rel="prev"/);
    assert.match(page.headers.get('link'), /limit=1&offset=2>;rel="next"/);
    assert.equal((await city.get(`${PATH}?type=Building&limit=0&count=true`)).headers.get('ngsild-results-count'), '3');
    // pick names attributes as attrs does, omit says nothing about sources
    const level = await add({ information: [{ entities: [{ type: 'Tower' }], propertyNames: ['level'] }] });
    assert.deepEqual(ids(await city.get(`${PATH}?type=Tower&pick=id,level&omit=other`)), [level.id]);
    assert.deepEqual(ids(await city.get(`${PATH}?type=Tower&pick=id,depth`)), []);
    await drop(level);
    // too wide, or wrong
    for (const bad of ['', 'limit=5', 'type=Building&limit=-1', 'type=Building&limit=0', 'type=Building&id=no+uri', 'type=(', 'type=A&q=a==', 'type=A&csf=(',
        'type=A&georel=near', 'type=A&timerel=before', 'type=A&timerel=around&timeAt=2020-01-01T00:00:00Z', 'type=A&idPattern=(', 'type=A&what=1', 'local=true', 'pick=a', 'type=A&pick=a b']) {
        const res = await city.get(`${PATH}?${bad}`);
        assert.equal(res.status, 400, bad);
    }
    await drop(a, b, c, d);
});

test('discovery by the source: csf, scopes, places, times, datasets', async () => {
    const a = await add({ endpoint: 'http://a.example', scope: '/Madrid/Centro', location: { type: 'Point', coordinates: [8.68, 49.41] }, own: 'aValue', datasetId: ['urn:d:1'], management: { timeout: 5 } });
    const b = await add({ endpoint: 'http://b.example', scope: '/Berlin', location: { type: 'Polygon', coordinates: [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]] }, own: ['x', 'bValue'], datasetId: ['urn:d:2', '@none'] });
    const c = await add({ observationInterval: { startAt: '2020-08-01T22:07:00Z', endAt: '2021-08-01T21:07:00Z' } });
    const d = await add({ managementInterval: { startAt: '2022-01-01T00:00:00Z' } });
    const found = async (query) => {
        const res = await city.get(`${PATH}?type=Building&${query}`);
        assert.equal(res.status, 200, query + res.text);
        return ids(res);
    };
    const set = (...list) => list.map((r) => r.id).sort();
    assert.deepEqual(await found(''), set(a, b));
    assert.deepEqual(await found('csf=endpoint==%22http://a.example%22'), set(a));
    assert.deepEqual(await found('csf=own==%22bValue%22'), set(b));
    assert.deepEqual(await found('csf=own'), set(a, b));
    assert.deepEqual(await found('csf=management[timeout]<10'), set(a));
    assert.deepEqual(await found('csf=own~=%22^a%22|endpoint==%22http://b.example%22'), set(a, b));
    assert.deepEqual(await found('scopeQ=/Madrid/%23'), set(a));
    const near = (x, y, m) => `georel=near;maxDistance==${m}&geometry=Point&coordinates=[${x},${y}]`;
    const box = (w, s, e, n2) => encodeURIComponent(JSON.stringify([[[w, s], [e, s], [e, n2], [w, n2], [w, s]]]));
    assert.deepEqual(await found(near(8.68, 49.41, 2000)), set(a));
    assert.deepEqual(await found(near(5, 5, 2000)), set(b)); // it may know something there
    assert.deepEqual(await found(`georel=within&geometry=Polygon&coordinates=${box(9, 9, 20, 60)}`), set(b));
    assert.deepEqual(await found(`georel=within&geometry=Polygon&coordinates=${box(8, 40, 20, 60)}`), set(a));
    assert.deepEqual(await found(`georel=contains&geometry=Point&coordinates=[1,1]`), set(b));
    assert.deepEqual(await found(`georel=disjoint&geometry=Polygon&coordinates=${box(-1, -1, 11, 11)}`), set(a));
    assert.deepEqual(await found('georel=near;minDistance==1000000&geometry=Point&coordinates=[0,0]'), set(a, b));
    assert.deepEqual(await found(`${near(8.68, 49.41, 2000)}&geoproperty=observationSpace`), []);
    assert.deepEqual(await found('timerel=before&timeAt=2021-08-01T22:00:00Z'), set(c));
    assert.deepEqual(await found('timerel=before&timeAt=2021-08-01T22:00:00Z&timeproperty=observedAt'), set(c));
    assert.deepEqual(await found('timerel=after&timeAt=2021-08-01T22:00:00Z'), []);
    assert.deepEqual(await found('timerel=between&timeAt=2019-01-01T00:00:00Z&endTimeAt=2020-09-01T00:00:00Z'), set(c));
    assert.deepEqual(await found('timerel=after&timeAt=2099-08-01T22:00:00Z&timeproperty=modifiedAt'), set(d));
    assert.deepEqual(await found('timerel=before&timeAt=2021-08-01T22:00:00Z&timeproperty=createdAt'), []);
    assert.deepEqual(await found('datasetId=urn:d:1'), set(a));
    assert.deepEqual(await found('datasetId=urn:d:2,urn:d:3'), set(b));
    await drop(a, b, c, d);
});

test('tenants have their own', async () => {
    const body = reg();
    const head = { 'NGSILD-Tenant': 'other' };
    assert.equal((await city.get(`${PATH}?type=Building`, head)).status, 404);
    assert.equal((await city.post(PATH, body, { headers: head })).status, 201);
    assert.deepEqual(ids(await city.get(`${PATH}?type=Building`, head)), [body.id]);
    assert.deepEqual(ids(await city.get(`${PATH}?type=Building`)), []);
    assert.equal((await city.get(`${PATH}/${body.id}`)).status, 404);
    assert.equal((await city.get(`${PATH}/${body.id}`, head)).headers.get('ngsild-tenant'), 'other');
    assert.equal((await city.delete(`${PATH}/${body.id}`, { 'NGSILD-Tenant': 'nowhere' })).status, 404);
    assert.equal((await city.delete(`${PATH}/${body.id}`, head)).status, 204);
});

test('what has expired is not found, and goes', async () => {
    const soon = await add({ expiresAt: new Date(Date.now() + 1500).toISOString() });
    await eventually(async () => (await city.get(`${PATH}?type=Building`)).json.length === 0);
    await eventually(async () => (await city.get(`${PATH}/${soon.id}`)).status === 404, 30000, 500);
});

test('they survive a restart', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-test-'));
    const one = await startCity({ data });
    const kept = reg({ own: { a: [1.50] } });
    assert.equal((await one.post(PATH, kept)).status, 201);
    const gone = reg();
    await one.post(PATH, gone);
    await one.delete(`${PATH}/${gone.id}`);
    await one.kill();
    const two = await startCity({ data: one.dir, store: one.store });
    assert.deepEqual((await two.get(`${PATH}/${kept.id}`)).json, kept);
    assert.deepEqual(ids(await two.get(`${PATH}?type=Building`)), [kept.id]);
    assert.equal((await two.post(PATH, gone)).status, 201);
    await two.stop();
    rmSync(data, { recursive: true, force: true });
});

await run(() => city.stop());
