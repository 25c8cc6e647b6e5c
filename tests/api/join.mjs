#!/usr/bin/env node
// Linked entities: join=inline and flat, levels, projections of what is linked.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
const rel = (object) => ({ type: 'Relationship', object });
const country = { id: 'urn:x:Country:JP', type: 'Country', name: { type: 'Property', value: 'Japan' }, size: { type: 'Property', value: 378 } };
const city = { id: 'urn:x:City:T', type: 'City', name: { type: 'Property', value: 'Tsukuba' }, inCountry: rel(country.id) };
const hall = { id: 'urn:x:Hall:1', type: 'Hall', locatedAt: rel(city.id), nowhere: rel('urn:x:none') };
await ld.post('/entityOperations/create', [country, city, hall, { id: 'urn:x:Hall:2', type: 'Hall', locatedAt: rel(city.id) },
    { id: 'urn:x:a', type: 'Loop', to: rel('urn:x:b') }, { id: 'urn:x:b', type: 'Loop', to: rel('urn:x:a') },
    { id: 'urn:x:many', type: 'Many', to: rel([country.id, 'urn:x:none']), list: { type: 'ListRelationship', objectList: [city.id, country.id] } }]);
const get = async (query, id = hall.id) => {
    const res = await ld.get(`/entities/${id}?${query}`);
    assert.equal(res.status, 200, res.text);
    return res.json;
};

test('without join nothing is joined', async () => {
    assert.deepEqual(await get(''), hall);
    assert.deepEqual(await get('join=@none'), hall);
});

test('inline: beside the object', async () => {
    assert.deepEqual(await get('join=inline'), { ...hall, locatedAt: { ...hall.locatedAt, entity: city } });
    const two = { ...city, inCountry: { ...city.inCountry, entity: country } };
    assert.deepEqual(await get('join=inline&joinLevel=2'), { ...hall, locatedAt: { ...hall.locatedAt, entity: two } });
});

test('inline, simplified: in the place of the object', async () => {
    assert.deepEqual(await get('join=inline&joinLevel=2&options=keyValues'), {
        id: hall.id, type: 'Hall', nowhere: 'urn:x:none',
        locatedAt: { id: city.id, type: 'City', name: 'Tsukuba', inCountry: { id: country.id, type: 'Country', name: 'Japan', size: 378 } },
    });
});

test('flat: one after another', async () => {
    assert.deepEqual(await get('join=flat'), [hall, city]);
    assert.deepEqual(await get('join=flat&joinLevel=2'), [hall, city, country]);
    assert.deepEqual(await get('join=flat', country.id), country, 'nothing linked: no list');
});

test('projections of what is linked', async () => {
    assert.deepEqual(await get('join=inline&joinLevel=2&pick=id,locatedAt{id,name,inCountry{size}}&options=keyValues'),
        { id: hall.id, locatedAt: { id: city.id, name: 'Tsukuba', inCountry: { size: 378 } } });
    assert.deepEqual(await get('join=inline&omit=type,nowhere,locatedAt{type|inCountry}&options=keyValues'),
        { id: hall.id, locatedAt: { id: city.id, name: 'Tsukuba' } });
    assert.deepEqual(await get('join=flat&pick=locatedAt{name}&options=keyValues'), [{ locatedAt: city.id }, { name: 'Tsukuba' }]);
    assert.deepEqual(await get('join=flat&joinLevel=2&pick=id,locatedAt{id,name}&options=keyValues'), [{ id: hall.id, locatedAt: city.id }, { id: city.id, name: 'Tsukuba' }], 'what does not show is not followed');
    for (const wrong of ['pick=locatedAt{name}', 'join=inline&joinLevel=1&pick=locatedAt{inCountry{size}}', 'join=flat&omit=locatedAt{inCountry{size}}', 'join=inline&pick=locatedAt{name', 'join=inline&pick=a{}', 'join=inline&pick=a}', 'pick=a||b', 'pick=a,'])
        assertError(await ld.get(`/entities/${hall.id}?${wrong}`), 400, 'BadRequestData');
});

test('containedBy: what the client has already', async () => {
    assert.deepEqual(await get(`join=inline&containedBy=${city.id}`), hall);
    assert.deepEqual(await get(`join=flat&joinLevel=2&containedBy=${country.id}`), [hall, city]);
});

test('circles end', async () => {
    const a = await get('join=inline&joinLevel=8', 'urn:x:a');
    assert.equal(a.to.entity.id, 'urn:x:b');
    assert.equal(a.to.entity.to.entity, undefined);
    assert.equal((await get('join=flat&joinLevel=8', 'urn:x:a')).length, 2);
});

test('several objects', async () => {
    const many = await get('join=inline', 'urn:x:many');
    assert.deepEqual(many.to.entity, [country, 'urn:x:none']);
    assert.deepEqual(many.list.entityList.map((e) => e.id), [city.id, country.id]);
    assert.equal((await get('join=flat', 'urn:x:many')).length, 3);
});

test('queries', async () => {
    const inline = (await ld.get('/entities?type=Hall&join=inline')).json;
    assert.deepEqual(inline.map((e) => e.locatedAt.entity.id), [city.id, city.id]);
    const flat = (await ld.get('/entities?type=Hall,City&join=flat&joinLevel=2&count=true'));
    assert.deepEqual(flat.json.map((e) => e.id), [city.id, hall.id, 'urn:x:Hall:2', country.id], 'each once');
    assert.equal(flat.headers.get('ngsild-results-count'), '3', 'linked ones do not count');
    const posted = await ld.post('/entityOperations/query?join=inline&options=keyValues', { type: 'Query', entities: [{ type: 'Hall' }], pick: ['id', 'locatedAt{name}'] });
    assert.deepEqual(posted.json[0], { id: hall.id, locatedAt: { name: 'Tsukuba' } });
});

test('q over linked entities', async () => {
    const found = async (q, more = 'join=inline') => {
        const res = await ld.get(`/entities?type=Hall&q=${encodeURIComponent(q)}&${more}`);
        assert.equal(res.status, 200, res.text);
        return res.json.map((e) => e.id);
    };
    assert.deepEqual(await found('locatedAt{City:name}=="Tsukuba"'), [hall.id, 'urn:x:Hall:2']);
    assert.deepEqual(await found('locatedAt{name}=="Tsukuba"'), [hall.id, 'urn:x:Hall:2'], 'without a hint of the type');
    assert.deepEqual(await found('locatedAt{Country:name}=="Tsukuba"'), [], 'the hint is of another type');
    assert.deepEqual(await found('locatedAt{City:name}=="Tsukuba";nowhere'), [hall.id]);
    assert.deepEqual(await found('locatedAt{City:inCountry{Country:name}}=="Japan"', 'join=flat&joinLevel=2&limit=1').then((list) => list[0]), hall.id);
    assert.deepEqual(await found('nowhere{name}=="Tsukuba"'), [], 'what is not there does not match');
    assert.deepEqual((await ld.post('/entityOperations/query', { type: 'Query', entities: [{ type: 'Hall' }], q: 'locatedAt{City:name}~="^Tsu"', join: 'inline', joinLevel: 1 })).json.length, 2);
    for (const wrong of ['', '&join=@none', '&join=inline&joinLevel=0'])
        assertError(await ld.get(`/entities?type=Hall&q=${encodeURIComponent('locatedAt{City:name}=="x"')}${wrong}`), 400, 'BadRequestData');
    assertError(await ld.get(`/entities?type=Hall&join=inline&q=${encodeURIComponent('locatedAt{inCountry{name}}=="Japan"')}`), 400, 'BadRequestData');
    assertError(await ld.get(`/entities?type=Hall&join=inline&q=${encodeURIComponent('locatedAt{name')}`), 400, 'BadRequestData');
});

test('what is wrong or not offered', async () => {
    for (const wrong of ['join=sideways', 'join=inline&joinLevel=0', 'join=inline&joinLevel=100'])
        assertError(await ld.get(`/entities/${hall.id}?${wrong}`), 400, 'BadRequestData');
    assertError(await ld.get(`/entities/${hall.id}?join=inline`, { Accept: 'application/geo+json' }), 422, 'OperationNotSupported');
});

await run(() => ld.city.stop());
