#!/usr/bin/env node
// NGSIv2: lists of entities, the query languages, order and pages, POST /op/query, types.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, ids, startV2 } from '../lib/v2.mjs';

const v2 = await startV2();
const car = (i) => ({
    id: `Car${i}`, type: i % 2 ? 'Car' : 'Truck',
    speed: { type: 'Number', value: i * 10, metadata: { accuracy: { type: 'Number', value: i } } },
    colour: { type: 'Text', value: ['red', 'green', 'blue'][i % 3] },
    seen: { type: 'DateTime', value: `2026-01-0${i}T00:00:00.000Z` },
    at: { type: 'geo:point', value: `36.${i}, 140` },
    brand: { type: 'StructuredValue', value: { name: i < 4 ? 'Ford' : 'Fiat', wheels: [i] } },
});
await v2.create({ ...car(1), extra: { value: 'only here' } });
for (let i = 2; i <= 6; i++) await v2.create(car(i));
await v2.create({ id: 'Bare', type: 'Nothing' });
const list = async (query) => ids(await v2.get(`/entities?${query}`));
const cars = (...n) => n.map((i) => `Car${i}`);

test('by id, type and pattern', async () => {
    assert.equal((await list('limit=100')).length, 7);
    assert.deepEqual(await list('id=Car1,Car3,None'), cars(1, 3));
    assert.deepEqual(await list('type=Car'), cars(1, 3, 5));
    assert.deepEqual(await list('type=Car,Nothing'), [...cars(1, 3, 5), 'Bare']);
    assert.deepEqual(await list('idPattern=^Car[12]$'), cars(1, 2));
    assert.deepEqual(await list('typePattern=^T'), cars(2, 4, 6));
    assert.deepEqual(await list('idPattern=.*&type=Truck'), cars(2, 4, 6));
    assert.deepEqual(await list('id=Car1,Car2&typePattern=Car'), cars(1));
    assert.deepEqual(await list('type=None'), []);
    assertError(await v2.get('/entities?id=a&idPattern=b'), 400, 'BadRequest');
    assertError(await v2.get('/entities?type=a&typePattern=b'), 400, 'BadRequest');
    assertError(await v2.get('/entities?idPattern=('), 400, 'BadRequest');
    assertError(await v2.get('/entities?id=a;b'), 400, 'BadRequest');
});

test('q', async () => {
    for (const [q, want] of [
        ['speed>40', cars(5, 6)], ['speed==10,20', cars(1, 2)], ['speed==20..40', cars(2, 3, 4)], ['speed!=20..40;speed', cars(1, 5, 6)],
        ['colour==red', cars(3, 6)], ['colour:red', cars(3, 6)], ['colour~=e.n', cars(1, 4)], ['extra', cars(1)], ['!speed', ['Bare']],
        ['brand.name==Fiat', cars(4, 5, 6)], ['brand.wheels==2', cars(2)], ["colour=='red'", cars(3, 6)], ["speed=='10'", []],
        ['seen>=2026-01-05', cars(5, 6)], ['seen==2026-01-02T00:00:00Z..2026-01-03T00:00:00Z', cars(2, 3)],
        ['seen==2026-01-02T09:00:00%2B09:00', cars(2)], ['dateCreated>2020-01-01;type', []], ['nope==1', []], ['colour<c', cars(2, 5)]])
        assert.deepEqual(await list(`q=${q}`), want, q);
    for (const q of ['speed=1', 'speed==', ';', 'speed>true', 'speed==1..x', 'colour~=('])
        assertError(await v2.get(`/entities?q=${q}`), 400, 'BadRequest');
});

test('mq', async () => {
    assert.deepEqual(await list('mq=speed.accuracy>4'), cars(5, 6));
    assert.deepEqual(await list('mq=speed.accuracy==1..2&q=colour==green'), cars(1));
    assert.deepEqual(await list('mq=speed.dateCreated>2020-01-01&q=speed==10'), cars(1));
    assertError(await v2.get('/entities?mq=speed'), 400, 'BadRequest');
});

test('places', async () => {
    assert.deepEqual(await list('georel=near;maxDistance:12000&geometry=point&coords=36.1,140'), cars(1, 2));
    assert.deepEqual(await list('georel=near;minDistance:12000;maxDistance:40000&geometry=point&coords=36.1,140'), cars(3, 4));
    assert.deepEqual(await list('georel=coveredBy&geometry=box&coords=36.2,139;36.4,141'), cars(2, 3, 4));
    assert.deepEqual(await list('georel=coveredBy&geometry=polygon&coords=36.5,139;36.5,141;37,141;36.5,139'), cars(5, 6));
    assert.deepEqual(await list('georel=intersects&geometry=line&coords=36,140;36.3,140'), cars(1, 2, 3));
    assert.deepEqual(await list('georel=equals&geometry=point&coords=36.4,140'), cars(4));
    assert.deepEqual(await list('georel=disjoint&geometry=box&coords=36.2,139;40,141'), cars(1));
    assertError(await v2.get('/entities?georel=near;maxDistance:10&geometry=line&coords=1,2;3,4'), 422, 'NotSupportedQuery');
    for (const bad of ['georel=near&geometry=point&coords=1,2', 'georel=within&geometry=point&coords=1,2', 'georel=equals&geometry=point',
        'geometry=point&coords=1,2', 'georel=equals&geometry=point&coords=1', 'georel=equals&geometry=ball&coords=1,2'])
        assertError(await v2.get(`/entities?${bad}`), 400, 'BadRequest');
});

test('several locations: the one marked, else it is not clear', async () => {
    const point = (marked) => ({ type: 'geo:point', value: '1, 1', metadata: marked ? { defaultLocation: { type: 'Boolean', value: true } } : {} });
    const query = '/entities?type=Twice&georel=equals&geometry=point&coords=1,1';
    await v2.create({ id: 'Twice', type: 'Twice', a: point(), b: point() });
    assertError(await v2.get(query), 409, 'TooManyResults');
    await v2.post('/entities/Twice/attrs', { b: point(true) });
    assert.deepEqual(ids(await v2.get(query)), ['Twice']);
    await v2.post('/entities/Twice/attrs', { a: point(true) });
    assertError(await v2.get(query), 409, 'TooManyResults');
    await v2.delete('/entities/Twice');
});

test('order', async () => {
    assert.deepEqual(await list('orderBy=!speed&type=Car,Truck'), cars(6, 5, 4, 3, 2, 1));
    assert.deepEqual(await list('orderBy=colour,!speed&q=speed'), cars(5, 2, 4, 1, 6, 3));
    assert.deepEqual(await list('orderBy=type,id&q=speed'), cars(1, 3, 5, 2, 4, 6));
    assert.deepEqual(await list('orderBy=!dateCreated'), ['Bare', ...cars(6, 5, 4, 3, 2, 1)]);
    assert.deepEqual(await list('orderBy=!seen&limit=2&offset=1'), cars(5, 4));
    assert.deepEqual(await list('orderBy=speed&limit=1'), ['Bare'], 'what lacks the attribute comes first');
    assert.deepEqual(await list('georel=near;maxDistance:100000&geometry=point&coords=36.6,140&orderBy=geo:distance'), cars(6, 5, 4, 3, 2, 1));
    assert.deepEqual(await list('georel=near;maxDistance:100000&geometry=point&coords=36.6,140&orderBy=!geo:distance&limit=2'), cars(1, 2));
    assertError(await v2.get('/entities?orderBy=geo:distance'), 400, 'BadRequest');
});

test('pages and counts', async () => {
    const res = await v2.get('/entities?limit=2&offset=1&options=count');
    assert.deepEqual(ids(res), cars(2, 3));
    assert.equal(res.headers.get('fiware-total-count'), '7');
    assert.equal((await v2.get('/entities?q=speed>20&options=count&limit=1&orderBy=speed')).headers.get('fiware-total-count'), '4');
    assert.equal((await v2.get('/entities')).headers.get('fiware-total-count'), null);
    assert.deepEqual(await list('offset=100'), []);
    for (const [bad, why] of [['limit=0', /ZERO/], ['limit=1001', /max: 1000/], ['limit=x', /decimal/], ['limit=-1', /decimal/], ['offset=-1', /decimal/], ['offset=x', /decimal/]])
        assertError(await v2.get(`/entities?${bad}`), 400, 'BadRequest', why);
});

test('forms of lists', async () => {
    assert.deepEqual((await v2.get('/entities?id=Car1,Car2&options=keyValues&attrs=speed')).json, [{ id: 'Car1', type: 'Car', speed: 10 }, { id: 'Car2', type: 'Truck', speed: 20 }]);
    assert.deepEqual((await v2.get('/entities?id=Car1,Bare&options=values&attrs=colour,speed')).json, [['green', 10], []]);
    assert.deepEqual((await v2.get('/entities?id=Car1&attrs=speed&metadata=nothing')).json, [{ id: 'Car1', type: 'Car', speed: { type: 'Number', value: 10, metadata: {} } }]);
});

test('POST /op/query', async () => {
    const query = async (body, options = '') => v2.post(`/op/query${options}`, body);
    assert.deepEqual(ids(await query({ entities: [{ idPattern: '.*', type: 'Car' }] })), cars(1, 3, 5));
    assert.deepEqual(ids(await query({ entities: [{ id: 'Car1', type: 'Car' }, { id: 'Car1', type: 'Truck' }, { idPattern: '6$' }, { id: 'Bare', typePattern: 'N' }] })), [...cars(1, 6), 'Bare']);
    assert.deepEqual(ids(await query({ expression: { q: 'speed>10', mq: 'speed.accuracy<4' } })), cars(2, 3));
    assert.deepEqual(ids(await query({ expression: { georel: 'equals', geometry: 'point', coords: '36.4,140' } })), cars(4));
    assert.deepEqual((await query({ entities: [{ id: 'Car2' }], attrs: ['speed', 'none'], metadata: ['accuracy'] })).json, [{ id: 'Car2', type: 'Truck', speed: car(2).speed }]);
    const page = await query({ entities: [{ idPattern: 'Car' }], attrs: ['speed'] }, '?limit=2&offset=1&orderBy=!speed&options=values,count');
    assert.deepEqual(page.json, [[50], [40]]);
    assert.equal(page.headers.get('fiware-total-count'), '6');
    assert.equal((await query({})).json.length, 7);
    assert.deepEqual((await v2.post('/op/query', {}, { headers: { 'Fiware-ServicePath': '/none/#' } })).json, []);
    for (const body of [[], 5, { entities: {} }, { entities: [{}] }, { entities: [{ type: 'Car' }] }, { entities: [{ id: 'a', idPattern: 'b' }] },
        { entities: [{ id: 'a', type: 'b', typePattern: 'c' }] }, { entities: [{ id: 5 }] }, { attrs: 'a' }, { attrs: [5] }, { metadata: {} },
        { expression: [] }, { expression: { q: 5 } }, { expression: { x: 'y' } }, { expression: { q: 'a=1' } }, { other: 1 }])
        assertError(await query(JSON.stringify(body)), 400, 'BadRequest');
    assertError(await query('{'), 400, 'ParseError');
});

test('types', async () => {
    const all = await v2.get('/types?options=count');
    assert.deepEqual(all.json.map((t) => [t.type, t.count]), [['Car', 3], ['Nothing', 1], ['Truck', 3]]);
    assert.equal(all.headers.get('fiware-total-count'), '3');
    assert.deepEqual(all.json[0].attrs, {
        speed: { types: ['Number'] }, colour: { types: ['Text'] }, seen: { types: ['DateTime'] }, at: { types: ['geo:point'] },
        brand: { types: ['StructuredValue'] }, extra: { types: ['Text'] },
    });
    assert.deepEqual((await v2.get('/types?options=values')).json, ['Car', 'Nothing', 'Truck']);
    assert.deepEqual((await v2.get('/types?options=values&limit=1&offset=1')).json, ['Nothing']);
    assert.deepEqual((await v2.get('/types?options=noAttrDetail&limit=1')).json[0].attrs.speed, { types: [] });
    const one = await v2.get('/types/Truck');
    assert.equal(one.json.count, 3);
    assert.deepEqual(one.json.attrs.at, { types: ['geo:point'] });
    assert.equal(one.json.type, undefined);
    assertError(await v2.get('/types/None'), 404, 'NotFound');
    assertError(await v2.get('/types?limit=0'), 400, 'BadRequest');
    assert.deepEqual((await v2.get('/types', { 'Fiware-ServicePath': '/none' })).json, []);
});

await run(() => v2.city.stop());
