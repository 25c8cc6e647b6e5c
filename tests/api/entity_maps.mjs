#!/usr/bin/env node
// Entity maps (clauses 5.2.39, 5.5.9.3, 5.14, 6.32, 6.34, 6.35): a query keeps to the entities it began with.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { base, startLd, assertError, ids } from '../lib/ngsi.mjs';
import { register, startSource } from '../lib/source.mjs';

const args = ['--client.allow_private=true'];
const ld = await startLd({ args }), far = await startLd({ args });
const id = (n) => `urn:x:post:${n}`;
const post = (n, more = {}) => ({ id: id(n), type: 'Post', n: { type: 'Property', value: n }, ...more });
for (let n = 1; n <= 7; n++) await ld.create(post(n));
// Where a map was made the answer is 201 (clauses 6.4.3.2, 6.18.3.2).
const madeFor = (res) => {
    assert.equal(res.status, 201, res.text);
    return res.json.map((e) => e.id);
};
const mapOf = (res) => res.headers.get('ngsild-entitymap');
const query = (search, map) => ld.get(`/entities?type=Post&${search}`, map ? { 'NGSILD-EntityMap': map } : {});

test('a map is made, shown and kept to', async () => {
    const first = await query('limit=3&entityMap=true');
    assert.deepEqual(madeFor(first), [1, 2, 3].map(id));
    const at = mapOf(first);
    assert.match(at, /^\/ngsi-ld\/v1\/entityMaps\/urn:ngsi-ld:EntityMap:/);
    const map = await ld.city.get(at);
    assert.equal(map.status, 200, map.text);
    assert.equal(map.json.type, 'EntityMap');
    assert.equal(at.endsWith(map.json.id), true);
    assert.deepEqual(map.json.entityMap, Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((n) => [id(n), ['@none']])));
    assert.deepEqual(map.json.linkedMaps, {});
    assert.ok(Date.parse(map.json.expiresAt) > Date.now() + 500000);
    // one comes, one goes, one does not meet the query any more
    await ld.create(post(8));
    await ld.delete(`/entities/${id(4)}`);
    const rest = await query('limit=3&offset=3&count=true&q=n!=5', at);
    assert.deepEqual(ids(rest), [6, 7].map(id), 'offset counts what is left of it');
    assert.equal(rest.headers.get('ngsild-results-count'), '5');
    assert.equal(mapOf(rest), at);
    assert.deepEqual(ids(await query('limit=100', at)), [1, 2, 3, 5, 6, 7].map(id));
    assert.deepEqual(ids(await query(`limit=100&id=${id(1)},${id(8)}`, at)), [id(1)]);
    assert.deepEqual(ids(await query(`limit=100&id=${id(8)}`, at)), []);
    assert.deepEqual(ids(await query('limit=100')), [1, 2, 3, 5, 6, 7, 8].map(id), 'without the header all');
    // by cursor
    const page = await query('limit=2', at);
    const next = /<([^>]+)>; rel="next"/.exec(page.headers.get('link'))[1];
    assert.deepEqual(ids(await ld.city.get(next, { 'NGSILD-EntityMap': at })), [3, 5].map(id));
    // the whole address and the id alone do as well
    assert.deepEqual(ids(await query('limit=1', new URL(at, ld.city.url).href)), [id(1)]);
    assert.deepEqual(ids(await query('limit=1', map.json.id)), [id(1)]);
    const body = await ld.post('/entityOperations/query?limit=100', { type: 'Query', entities: [{ type: 'Post' }] }, { headers: { 'NGSILD-EntityMap': at } });
    assert.deepEqual(ids(body), [1, 2, 3, 5, 6, 7].map(id));
});

test('a map that is not known is made anew', async () => {
    const res = await query('limit=100', 'urn:ngsi-ld:EntityMap:none');
    assert.equal(madeFor(res).length, 7);
    assert.ok(mapOf(res));
    assert.notEqual(mapOf(res), `${base}/entityMaps/urn:ngsi-ld:EntityMap:none`);
});

test('time, change, deletion', async () => {
    const at = mapOf(await query('entityMap=true&entityMapLifetime=PT2H'));
    const short = mapOf(await query('entityMap=true&entityMapLifetime=PT0S'));
    const long = mapOf(await query('entityMap=true&entityMapLifetime=P3650D'));
    assert.ok(Math.abs(Date.parse((await ld.city.get(at)).json.expiresAt) - Date.now() - 7200000) < 600000);
    assert.ok(Date.parse((await ld.city.get(long)).json.expiresAt) < Date.now() + 90000000);
    assertError(await ld.city.get(short), 404, 'ResourceNotFound');
    assert.equal((await ld.city.patch(at, { expiresAt: '2001-01-01T00:00:00Z' })).status, 204);
    assertError(await ld.city.get(at), 404, 'ResourceNotFound');
    assert.equal((await ld.city.patch(long, { entityMap: { [id(2)]: ['@none'] }, linkedMaps: {} })).status, 204);
    assert.deepEqual(ids(await query('', long)), [id(2)]);
    assertError(await ld.city.patch(long, { entityMap: { x: ['@none'] } }), 400, 'BadRequestData');
    assertError(await ld.city.patch(long, { entityMap: { [id(2)]: ['x y'] } }), 400, 'BadRequestData');
    assertError(await ld.city.patch(long, { expiresAt: 'soon' }), 400, 'BadRequestData');
    assertError(await ld.city.patch(long, { other: 1 }), 400, 'BadRequestData');
    assertError(await ld.city.patch(at, {}), 404, 'ResourceNotFound');
    assertError(await ld.city.get(long, { 'NGSILD-Tenant': 'other' }), 404, 'NonexistentTenant');
    assert.equal((await ld.city.delete(long)).status, 204);
    assertError(await ld.city.delete(long), 404, 'ResourceNotFound');
    assertError(await ld.get('/entityMaps/x'), 400, 'BadRequestData');
    assertError(await query('entityMap=perhaps'), 400, 'BadRequestData');
    assertError(await query('entityMap=true&entityMapLifetime=long'), 400, 'BadRequestData');
});

test('a map alone (v1.9.1)', async () => {
    for (const res of [await ld.get('/entityMaps?type=Post&q=n<4&limit=1'), await ld.post('/entityMaps', { type: 'Query', entities: [{ type: 'Post' }], q: 'n<4' })]) {
        assert.equal(res.status, 201, res.text);
        assert.equal(res.json.type, 'EntityMap');
        assert.deepEqual(Object.keys(res.json.entityMap).sort(), [1, 2, 3].map(id));
        assert.deepEqual(ids(await query('limit=100', mapOf(res))), [1, 2, 3].map(id));
    }
    assertError(await ld.get('/entityMaps'), 400, 'BadRequestData');
});

test('one entity', async () => {
    const res = await ld.get(`/entities/${id(1)}?entityMap=true`);
    assert.equal(res.status, 200, res.text);
    assert.deepEqual((await ld.city.get(mapOf(res))).json.entityMap, { [id(1)]: ['@none'] });
    const again = await ld.get(`/entities/${id(1)}`, { 'NGSILD-EntityMap': mapOf(res) });
    assert.equal(again.status, 200);
    assert.equal(mapOf(again), mapOf(res));
    assert.equal((await ld.get(`/entities/${id(2)}`, { 'NGSILD-EntityMap': mapOf(res) })).status, 404, 'not in the map');
});

test('maps of temporal queries (clauses 5.7.3.4, 5.7.4.4, 5.14.5, 6.35)', async () => {
    const entry = (n) => ({ id: `urn:x:tick:${n}`, type: 'Tick', n: { type: 'Property', value: n, observedAt: `2026-01-01T00:0${n}:00Z` } });
    const ticks = (...n) => n.map((x) => entry(x).id);
    const range = 'timerel=after&timeAt=2020-01-01T00:00:00Z';
    const past = (search, map) => ld.get(`/temporal/entities?type=Tick&${range}&${search}`, map ? { 'NGSILD-EntityMap': map } : {});
    for (const n of [1, 2, 3]) assert.equal((await ld.post('/temporal/entities', entry(n))).status, 201);
    const first = await past('limit=1&entityMap=true'), at = mapOf(first);
    assert.deepEqual(madeFor(first), ticks(1));
    assert.deepEqual((await ld.city.get(at)).json.entityMap, Object.fromEntries(ticks(1, 2, 3).map((x) => [x, ['@none']])));
    assert.equal((await ld.post('/temporal/entities', entry(4))).status, 201);
    const rest = await past('limit=2&offset=1&count=true', at);
    assert.deepEqual(ids(rest), ticks(2, 3));
    assert.equal(rest.headers.get('ngsild-results-count'), '3');
    assert.equal(mapOf(rest), at);
    assert.deepEqual(ids(await past(`id=${ticks(4)}`, at)), []);
    assert.deepEqual(ids(await past('local=true&orderBy=id;desc', at)), ticks(3, 2, 1));
    assert.deepEqual(madeFor(await past('limit=9', 'urn:ngsi-ld:EntityMap:none')), ticks(1, 2, 3, 4), 'not known: made anew');
    const one = await ld.get(`/temporal/entities/${ticks(1)}?entityMap=true`);
    assert.equal(one.status, 200);
    assert.deepEqual(Object.keys((await ld.city.get(mapOf(one))).json.entityMap), ticks(1));
    assert.equal((await ld.get(`/temporal/entities/${ticks(2)}`, { 'NGSILD-EntityMap': mapOf(one) })).status, 404, 'not in the map');
    const body = { type: 'Query', entities: [{ type: 'Tick' }], q: 'n>2', temporalQ: { timerel: 'after', timeAt: '2020-01-01T00:00:00Z' } };
    for (const res of [await ld.get(`/temporal/entityMaps?type=Tick&${range}&q=n>2&limit=1`), await ld.post('/temporal/entityMaps', body)]) {
        assert.equal(res.status, 201, res.text);
        assert.equal(res.json.type, 'EntityMap');
        assert.deepEqual(Object.keys(res.json.entityMap), ticks(3, 4));
        assert.deepEqual(ids(await past('limit=9', mapOf(res))), ticks(3, 4));
    }
    assertError(await ld.get('/temporal/entityMaps?type=Tick'), 400, 'BadRequestData');
    // sources are asked whatever the map says
    const reg = await register(ld, far.city.url, { type: 'Tick' }, { operations: ['queryTemporal'] });
    assert.equal((await far.post('/temporal/entities', entry(9))).status, 201);
    const both = await past('limit=9&entityMap=true');
    assert.deepEqual(madeFor(both), ticks(1, 2, 3, 4, 9));
    assert.equal((await ld.post('/temporal/entities', entry(5))).status, 201);
    assert.deepEqual(ids(await past('limit=9', mapOf(both))), ticks(1, 2, 3, 4, 9));
    assert.equal((await ld.delete(`/csourceRegistrations/${reg}`)).status, 204);
});

test('purge by a map (clause 6.4.3.3)', async () => {
    for (const n of [1, 2, 3]) await ld.create({ id: `urn:x:old:${n}`, type: 'Old', n });
    const at = mapOf(await ld.get('/entities?type=Old&q=n<3&entityMap=true'));
    assertError(await ld.delete('/entities?type=Old', { 'NGSILD-EntityMap': 'urn:ngsi-ld:EntityMap:none' }), 404, 'ResourceNotFound');
    const res = await ld.delete('/entities?type=Old', { 'NGSILD-EntityMap': at });
    assert.equal(res.status, 204, res.text);
    assert.equal(mapOf(res), at);
    assert.deepEqual(ids(await ld.get('/entities?type=Old')), ['urn:x:old:3']);
});

test('entities of everywhere', async () => {
    await far.create(post(20));
    await far.create(post(1, { far: { type: 'Property', value: true } }));
    const reg = await register(ld, far.city.url, { type: 'Post' });
    const first = await query('limit=3&entityMap=true');
    assert.deepEqual(madeFor(first), [1, 2, 3].map(id));
    const at = mapOf(first), map = (await ld.city.get(at)).json.entityMap;
    assert.deepEqual(map[id(1)].sort(), ['@none', reg]);
    assert.deepEqual(map[id(2)], ['@none']);
    assert.deepEqual(map[id(20)], [reg]);
    await far.create(post(21));
    await ld.create(post(9));
    assert.deepEqual(ids(await query('limit=100', at)), [1, 2, 3, 5, 6, 7, 8, 20].map(id));
    assert.deepEqual(ids(await query('limit=100')), [1, 2, 3, 5, 6, 7, 8, 9, 20, 21].map(id));
});

test('maps at sources are made, named, sent along, and fix their entities too', async () => {
    const source = await startSource();
    const map = 'urn:ngsi-ld:EntityMap:theirs';
    const reg = await register(ld, source.url, { type: 'Boat' }, { operations: ['federationOps'] });
    const boat = (n) => ({ id: `urn:ngsi-ld:Boat:${n}`, type: 'Boat', n: { type: 'Property', value: n } });
    source.answer = async (req, res) => res.writeHead(200, { 'Content-Type': 'application/json', ...(req.target.includes('entityMap=true') && { 'NGSILD-EntityMap': `/ngsi-ld/v1/entityMaps/${map}` }) }).end(JSON.stringify(req.path.endsWith(':1') ? boat(1) : [boat(1), boat(2)]));
    const first = await ld.get('/entities?type=Boat&limit=1&entityMap=true&entityMapLifetime=PT5M');
    assert.equal(first.status, 201, first.text);
    const [asked] = source.take();
    assert.deepEqual([asked.query.get('entityMap'), asked.query.get('entityMapLifetime'), asked.headers['ngsild-entitymap']], ['true', 'PT5M', undefined]);
    const at = mapOf(first), ours = (await ld.city.get(at)).json;
    assert.deepEqual([ours.linkedMaps, ours.entityMap], [{ [reg]: map }, { 'urn:ngsi-ld:Boat:1': [reg], 'urn:ngsi-ld:Boat:2': [reg] }]);
    assert.deepEqual(ids(await ld.get('/entities?type=Boat&limit=1&offset=1', { 'NGSILD-EntityMap': at })), ['urn:ngsi-ld:Boat:2']);
    const [again] = source.take();
    assert.deepEqual([again.query.get('entityMap'), again.headers['ngsild-entitymap']], [null, `/ngsi-ld/v1/entityMaps/${map}`]);
    // one that came later is not asked by that map
    const late = await register(ld, `${source.url}/late`, { type: 'Boat' });
    await ld.get('/entities?type=Boat', { 'NGSILD-EntityMap': at });
    assert.ok(source.take().every((r) => !r.path.startsWith('/late')));
    await ld.delete(`/csourceRegistrations/${late}`);
    // of one entity
    const one = await ld.get('/entities/urn:ngsi-ld:Boat:1?entityMap=true');
    assert.deepEqual((await ld.city.get(mapOf(one))).json.linkedMaps, { [reg]: map });
    // what is no address, or a source that makes none
    source.answer = async (req, res) => res.writeHead(200, { 'Content-Type': 'application/json', 'NGSILD-EntityMap': 'no uri' }).end(JSON.stringify([boat(1)]));
    assert.deepEqual((await ld.city.get(mapOf(await ld.get('/entities?type=Boat&entityMap=true')))).json.linkedMaps, {});
    await ld.delete(`/csourceRegistrations/${reg}`);
    const plain = await register(ld, source.url, { type: 'Boat' }, { operations: ['retrieveOps'] });
    source.take();
    await ld.get('/entities?type=Boat&entityMap=true');
    assert.ok(source.take().every((r) => !r.target.includes('entityMap')));
    await ld.delete(`/csourceRegistrations/${plain}`);
    await source.down();
});

test('two real brokers: pages stand still on both sides', async () => {
    const reg = await register(ld, far.city.url, { type: 'Ship' });
    for (let i = 1; i <= 4; i++) await far.create({ ...post(i), id: `urn:ngsi-ld:Ship:${i}`, type: 'Ship' });
    const first = await ld.get('/entities?type=Ship&limit=2&entityMap=true');
    const at = mapOf(first), { linkedMaps } = (await ld.city.get(at)).json;
    assert.match(linkedMaps[reg], /^urn:ngsi-ld:EntityMap:/);
    assert.equal(Object.keys((await far.get(`/entityMaps/${linkedMaps[reg]}`)).json.entityMap).length, 4);
    await far.create({ ...post(0), id: 'urn:ngsi-ld:Ship:0', type: 'Ship' });
    assert.deepEqual(ids(await ld.get('/entities?type=Ship&limit=2&offset=2', { 'NGSILD-EntityMap': at })), [3, 4].map((n) => `urn:ngsi-ld:Ship:${n}`));
    await ld.delete(`/csourceRegistrations/${reg}`);
});

await run(async () => {
    await ld.city.stop();
    await far.city.stop();
});
