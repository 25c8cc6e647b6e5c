#!/usr/bin/env node
// Linked entities over several brokers (clause 4.5.23 with 4.3.6): what an entity here links to may be anywhere.
import assert from 'node:assert/strict';
import { ids, startLd } from '../lib/ngsi.mjs';
import { register, startSource } from '../lib/source.mjs';
import { run, test } from '../lib/tap.mjs';

const args = ['--client.allow_private=true', '--link.forward_ms=1500', '--link.forward_cooldown_ms=0'];
const here = await startLd({ args }), far = await startLd({ args });
const P = (value) => ({ type: 'Property', value }), R = (object) => ({ type: 'Relationship', object });
const id = (type, n) => `urn:ngsi-ld:${type}:${n}`;
const room = (n, more = {}) => ({ id: id('Room', n), type: 'Room', name: P(`room ${n}`), in: R(id('Building', n)), ...more });
await here.create(room(1));
await here.create(room(2, { in: { type: 'Relationship', object: [id('Building', 1), id('Building', 2)] } }));
await here.create({ id: id('City', 1), type: 'City', name: P('Tsukuba'), mayor: R(id('Person', 1)) });
await far.create({ id: id('Building', 1), type: 'Building', name: P('hall'), city: R(id('City', 1)) });
await far.create({ id: id('Building', 2), type: 'Building', name: P('school'), next: R(id('Room', 1)) });
await far.create({ id: id('Person', 1), type: 'Person', name: P('somebody') });
await here.create({ id: id('Building', 2), type: 'Building', floors: P(3) });
const reg = await register(here, far.city.url, [{ type: 'Building' }, { type: 'Person' }]);

test('inline: beside the object, level by level, here and there', async () => {
    const one = (await here.get(`/entities/${id('Room', 1)}?join=inline&joinLevel=3`)).json;
    assert.equal(one.in.entity.name.value, 'hall');
    assert.equal(one.in.entity.city.entity.name.value, 'Tsukuba');
    assert.equal(one.in.entity.city.entity.mayor.entity.name.value, 'somebody');
    const flatly = (await here.get(`/entities/${id('Room', 1)}?join=inline&joinLevel=2&options=keyValues`)).json;
    assert.deepEqual(flatly.in, { id: id('Building', 1), type: 'Building', name: 'hall', city: { id: id('City', 1), type: 'City', name: 'Tsukuba', mayor: id('Person', 1) } });
    const all = (await here.get('/entities?type=Room&join=inline')).json;
    assert.deepEqual(all.map((e) => e.id), [id('Room', 1), id('Room', 2)]);
    const [hall, school] = all[1].in.entity;
    assert.deepEqual([hall.name.value, school.name.value, school.floors.value], ['hall', 'school', 3], 'of one both have a part');
});

test('flat: each once, after those that were asked for', async () => {
    const res = await here.get('/entities?type=Room&join=flat&joinLevel=2');
    assert.deepEqual(ids(res).slice(0, 2), [id('Room', 1), id('Room', 2)]);
    assert.deepEqual(ids(res).slice(2).sort(), [id('Building', 1), id('Building', 2), id('City', 1)]);
    const one = (await here.get(`/entities/${id('Room', 1)}?join=flat&joinLevel=3`)).json;
    assert.deepEqual(one.map((e) => e.id), [id('Room', 1), id('Building', 1), id('City', 1), id('Person', 1)]);
    const posted = await here.post('/entityOperations/query', { type: 'Query', entities: [{ type: 'Room', id: id('Room', 1) }], join: 'flat' });
    assert.deepEqual(ids(posted), [id('Room', 1), id('Building', 1)]);
    const paged = await here.get('/entities?type=Room&join=flat&limit=1&count=true');
    assert.deepEqual([ids(paged), paged.headers.get('ngsild-results-count')], [[id('Room', 1), id('Building', 1)], '2']);
});

test('pick, containedBy and local=true hold', async () => {
    const picked = (await here.get(`/entities/${id('Room', 1)}?join=inline&joinLevel=2&pick=${encodeURIComponent('in{name}')}`)).json;
    assert.deepEqual(Object.keys(picked.in.entity).sort(), ['name']);
    const inside = (await here.get(`/entities/${id('Room', 1)}?join=inline&containedBy=${id('Building', 1)}`)).json;
    assert.equal(inside.in.entity, undefined);
    const alone = (await here.get(`/entities/${id('Room', 1)}?join=inline&local=true`)).json;
    assert.equal(alone.in.entity, undefined);
});

test('an entity of a source links to what is here', async () => {
    const back = (await here.get(`/entities/${id('Building', 2)}?join=inline`)).json;
    assert.equal(back.next.entity.name.value, 'room 1');
    const all = (await here.get('/entities?type=Building&join=inline')).json;
    assert.deepEqual(all.map((e) => [e.id, (e.city ?? e.next).entity.name.value]).sort(), [[id('Building', 1), 'Tsukuba'], [id('Building', 2), 'room 1']]);
});

test('a source is asked once for a level; one that fails costs a warning and no link', async () => {
    await here.delete(`/csourceRegistrations/${reg}`);
    const source = await startSource();
    const building = (n) => ({ id: id('Building', n), type: 'Building', name: P(`b${n}`) });
    const r = await register(here, source.url, { type: 'Building' }, { operations: ['queryEntity'] });
    source.answer = async (req, res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify([building(1), building(2), building(9)]));
    const res = await here.get('/entities?type=Room&join=inline');
    assert.deepEqual(res.json[1].in.entity.map((e) => e.name?.value), ['b1', 'b2']);
    const asked = source.take();
    assert.equal(asked.length, 1);
    assert.deepEqual([asked[0].query.get('type'), asked[0].query.get('id').split(',').sort(), asked[0].query.get('join')], ['Building', [id('Building', 1), id('Building', 2)], null]);
    source.answer = async (req, res) => { res.destroy(); return true; };
    const failed = await here.get('/entities?type=Room&join=inline');
    assert.deepEqual([failed.status, failed.json[0].in.object, failed.json[0].in.entity], [200, id('Building', 1), undefined]);
    assert.match(failed.headers.get('ngsild-warning'), /^199 /);
    assert.equal(failed.json[1].in.entity[1].floors.value, 3, 'what is here of it stands');
    source.answer = async () => true; // says nothing
    const began = Date.now();
    assert.equal((await here.get(`/entities/${id('Room', 1)}?join=inline&joinLevel=4`)).status, 200);
    assert.ok(Date.now() - began < 12000);
    // a source that knows the whole graph as a circle
    source.answer = async (req, res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify([{ ...building(1), next: R(id('Building', 2)) }, { ...building(2), next: R(id('Building', 1)) }]));
    assert.equal((await here.get(`/entities/${id('Room', 1)}?join=inline&joinLevel=8`)).json.in.entity.next.entity.name.value, 'b2');
    await here.delete(`/csourceRegistrations/${r}`);
    await source.down();
});

await run(async () => {
    await here.city.stop();
    await far.city.stop();
});
