#!/usr/bin/env node
// GET /entities, POST /entityOperations/query, purge, downloads.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, contextLink, ids, startLd } from '../lib/ngsi.mjs';

const ld = await startLd({ args: ['--link.page_default=20', '--link.page_max=100'] });
const query = (q) => ld.get(`/entities?${q}`);
const post = (body, params = '') => ld.post(`/entityOperations/query${params}`, { type: 'Query', ...body });
const enc = encodeURIComponent;

// 30 rooms, 5 halls (of which two are rooms too)
const list = [];
for (let i = 1; i <= 30; i++)
    list.push({
        id: `urn:ngsi-ld:Room:${String(i).padStart(2, '0')}`, type: 'Room', temperature: { type: 'Property', value: i, unitCode: i % 2 ? 'CEL' : 'FAH', observedAt: `2026-01-${String(i).padStart(2, '0')}T00:00:00Z` },
        name: { type: 'Property', value: `room ${i}` }, open: { type: 'Property', value: i % 3 === 0 },
        ...(i <= 10 ? { near: { type: 'Relationship', object: `urn:ngsi-ld:Room:${String(i + 1).padStart(2, '0')}` } } : {}),
        ...(i === 7 ? { tags: { type: 'Property', value: ['a', 'b'] }, address: { type: 'Property', value: { city: 'つくば', zip: { code: 305 } } } } : {}),
        ...(i <= 4 ? { scope: i <= 2 ? '/town/north' : ['/town/south', '/x'] } : {}),
        label: { type: 'LanguageProperty', languageMap: { en: `room ${i}`, ja: `部屋 ${i}` } },
    });
for (let i = 1; i <= 5; i++)
    list.push({ id: `urn:ngsi-ld:Hall:${i}`, type: i <= 2 ? ['Hall', 'Room'] : 'Hall', seats: { type: 'Property', value: i * 100 } });
const made = await ld.post('/entityOperations/create', list);
assert.equal(made.status, 201, made.text);
const rooms = (...numbers) => numbers.map((i) => `urn:ngsi-ld:Room:${String(i).padStart(2, '0')}`);
const found = async (q, expected) => assert.deepEqual(ids(await query(`${q}&limit=100`)), expected, q);

test('type selection', async () => {
    await found('type=Hall;Room', ['urn:ngsi-ld:Hall:1', 'urn:ngsi-ld:Hall:2']);
    assert.equal(ids(await query('type=Hall')).length, 5);
    assert.equal(ids(await query('type=Room&limit=100')).length, 32);
    assert.equal(ids(await query('type=Room,Hall&limit=100')).length, 35);
    assert.equal(ids(await query(`type=${enc('(Hall;Room)|Nothing')}`)).length, 2);
    assert.deepEqual(ids(await query('type=Nothing')), []);
    assertError(await query('type=((Room'), 400, 'BadRequestData');
});

test('id and idPattern', async () => {
    await found(`id=${rooms(3, 1).join(',')}&type=Room`, rooms(1, 3));
    assertError(await query(`id=${rooms(3)[0]}`), 400, 'BadRequestData'); // too wide, whatever the ids (5.7.2.4)
    assertError(await query('idPattern=.*'), 400, 'BadRequestData');
    await found(`idPattern=${enc('Room:0[12]$')}&type=Room`, rooms(1, 2));
    await found(`id=${rooms(5)[0]}&idPattern=nothing&type=Room`, rooms(5));
    assertError(await query('id=no%20uri'), 400, 'BadRequestData');
    assertError(await query(`type=Room&idPattern=${enc('(')}`), 400, 'BadRequestData');
});

test('q: comparisons, and, or, patterns, paths', async () => {
    const q = (expression, numbers) => found(`type=Room&q=${enc(expression)}`, rooms(...numbers));
    await q('temperature==7', [7]);
    await q('temperature<=3', [1, 2, 3]);
    await q('temperature>28;open==false', [29]);
    await q('temperature==1|temperature==30', [1, 30]);
    await q('(temperature<3|temperature>29);open==false', [1, 2]);
    await q('temperature==5..7', [5, 6, 7]);
    await q('temperature==5,9', [5, 9]);
    await q('name=="room 4"', [4]);
    await q('name~="^room 1[0-2]$"', [10, 11, 12]);
    await q('near=="urn:ngsi-ld:Room:05"', [4]);
    await q('tags=="b"', [7]);
    await q('address[city]=="つくば"', [7]);
    await q('address[zip.code]==305', [7]);
    await q('label[en]=="room 9"', [9]);
    await q('temperature.unitCode=="CEL";temperature<4', [1, 3]);
    await q('temperature.observedAt>=2026-01-29T00:00:00Z', [29, 30]);
    await q('seats>200', []);
});

test('q that cannot be read', async () => {
    for (const q of ['temperature==', '==5', 'a;;b', '(a', 'a)', 'a==1..', 'name~="("', 'owner{name}=="x"'])
        assertError(await query(`type=Room&q=${enc(q)}`), 400, 'BadRequestData');
    assertError(await query(`type=Room&q=${enc('a==1;'.repeat(2000) + 'a')}`), 403, 'TooComplexQuery');
});

test('attrs, pick, omit', async () => {
    await found('attrs=tags', rooms(7));
    assert.deepEqual((await query('attrs=tags&options=keyValues')).json, [{ id: rooms(7)[0], type: 'Room', tags: ['a', 'b'] }]);
    assert.deepEqual((await query(`type=Room&q=temperature==7&pick=id,name&options=keyValues`)).json, [{ id: rooms(7)[0], name: 'room 7' }]);
    const omitted = (await query('type=Hall&omit=id,type&options=keyValues&limit=1')).json;
    assert.deepEqual(omitted, [{ seats: 100 }]);
});

test('pick leaves out entities of which nothing shows', async () => {
    await ld.create({ id: 'urn:ngsi-ld:Bare:1', type: 'Bare' });
    await ld.create({ id: 'urn:ngsi-ld:Bare:2', type: 'Bare', only: 1 });
    const res = await query('type=Bare&pick=only&options=keyValues&count=true');
    assert.deepEqual(res.json, [{ only: 1 }]);
    assert.equal(res.headers.get('ngsild-results-count'), '1');
    assert.equal((await query('type=Bare&pick=id,only')).json.length, 2);
    assertError(await query('type=*&local=false'), 400, 'BadRequestData');
    assert.equal((await ld.delete('/entities?type=Bare')).status, 204);
});

test('scopes', async () => {
    await found(`type=Room&scopeQ=${enc('/town/north')}`, rooms(1, 2));
    await found(`type=Room&scopeQ=${enc('/town/#')}`, rooms(1, 2, 3, 4));
    await found(`type=Room&scopeQ=${enc('/town/+')}`, rooms(1, 2, 3, 4));
    await found(`type=Room&scopeQ=${enc('/town/south;/x')}`, rooms(3, 4));
    await found(`type=Room&scopeQ=${enc('/x,/town/north')}`, rooms(1, 2, 3, 4));
});

test('what would match everything is refused', async () => {
    assertError(await query(''), 400, 'BadRequestData');
    assertError(await query('attrs=createdAt'), 400, 'BadRequestData');
    assertError(await query(`q=${enc('modifiedAt>2020-01-01T00:00:00Z')}`), 400, 'BadRequestData');
    assert.equal(ids(await query(`q=${enc('modifiedAt>2020-01-01T00:00:00Z;seats')}`)).length, 5);
    assertError(await query(`scopeQ=${enc('/town/#')}`), 400, 'BadRequestData');
    assert.equal(ids(await query('local=true&limit=100')).length, 35);
    assert.equal(ids(await query('type=*&limit=100')).length, 35);
    assert.equal(ids(await query('q=seats')).length, 5);
});

test('limit, offset, count', async () => {
    assert.equal(ids(await query('type=Room')).length, 20, 'the default');
    const res = await query('type=Room&limit=3&offset=4&count=true');
    assert.deepEqual(ids(res), rooms(5, 6, 7));
    assert.equal(res.headers.get('ngsild-results-count'), '32');
    const none = await query('type=Room&limit=0&count=true');
    assert.deepEqual(none.json, []);
    assert.equal(none.headers.get('ngsild-results-count'), '32');
    assert.equal((await query('type=Room')).headers.get('ngsild-results-count'), null);
    assert.deepEqual(ids(await query('type=Room&offset=1000')), []);
    for (const wrong of ['limit=0', 'limit=-1', 'limit=x', 'offset=-1', 'count=1', 'cursor=x', 'cursor=1-1&offset=2'])
        assertError(await query(`type=Room&${wrong}`), 400, 'BadRequestData');
    assertError(await query('type=Room&limit=101'), 403, 'TooManyResults');
});

const link = (res, rel) => new RegExp(`<([^>]*)>; rel="${rel}"`).exec(res.headers.get('link'))?.[1];

test('pages lead to one another', async () => {
    const seen = [];
    let at = '/ngsi-ld/v1/entities?type=Room&limit=7&count=true';
    for (let page = 0; at; page++) {
        const res = await ld.city.get(at);
        seen.push(...ids(res));
        assert.equal(res.headers.get('ngsild-results-count'), '32');
        assert.equal(!!link(res, 'prev'), page > 0);
        at = link(res, 'next');
        assert.ok(page < 6, 'it ends');
    }
    assert.deepEqual(seen, ids(await query('type=Room&limit=100')));
    const second = await ld.city.get(link(await query('type=Room&limit=7'), 'next'));
    assert.deepEqual(ids(await ld.city.get(link(second, 'prev'))), rooms(1, 2, 3, 4, 5, 6, 7));
});

test('pages do not shift while entities go and come', async () => {
    const tmp = Array.from({ length: 6 }, (_, i) => ({ id: `urn:ngsi-ld:Tmp:${i}`, type: 'Tmp' }));
    await ld.post('/entityOperations/create', tmp);
    const first = await query('type=Tmp&limit=2');
    assert.deepEqual(ids(first), ['urn:ngsi-ld:Tmp:0', 'urn:ngsi-ld:Tmp:1']);
    await ld.delete('/entities/urn:ngsi-ld:Tmp:0');
    await ld.create({ id: 'urn:ngsi-ld:Tmp:6', type: 'Tmp' });
    const second = await ld.city.get(link(first, 'next'));
    assert.deepEqual(ids(second), ['urn:ngsi-ld:Tmp:2', 'urn:ngsi-ld:Tmp:3']);
    assert.deepEqual(ids(await ld.city.get(link(second, 'next'))), ['urn:ngsi-ld:Tmp:4', 'urn:ngsi-ld:Tmp:5']);
});

test('representations of lists', async () => {
    const jsonld = await ld.get('/entities?type=Hall&limit=2', { Accept: 'application/ld+json' });
    assert.ok(jsonld.json.every((e) => e['@context']));
    const geo = await ld.get('/entities?type=Hall&limit=2&options=keyValues', { Accept: 'application/geo+json' });
    assert.equal(geo.json.type, 'FeatureCollection');
    assert.equal(geo.json.features.length, 2);
    assert.equal(geo.json.features[0].geometry, null);
    assert.equal(geo.json.features[0].properties.seats, 100);
    assert.ok(geo.json['@context']);
    const empty = await ld.get('/entities?type=Nothing', { Accept: 'application/geo+json' });
    assert.deepEqual(empty.json.features, []);
});

test('names by the context of the Link header', async () => {
    const context = await ld.post('/jsonldContexts', { '@context': { Chamber: 'https://uri.etsi.org/ngsi-ld/default-context/Room', warmth: 'https://uri.etsi.org/ngsi-ld/default-context/temperature' } });
    const res = await ld.get(`/entities?type=Chamber&q=${enc('warmth==7')}&options=keyValues&pick=type,warmth`, contextLink(context.headers.get('location')));
    assert.deepEqual(res.json, [{ type: 'Chamber', warmth: 7 }]);
});

test('POST: the same questions in a body', async () => {
    assert.deepEqual(ids(await post({ entities: [{ type: 'Room' }], q: 'temperature<3' })), rooms(1, 2));
    assert.deepEqual(ids(await post({ entities: [{ type: 'Room', id: rooms(3)[0] }] })), rooms(3));
    assert.deepEqual(ids(await post({ entities: [{ type: 'Room', id: rooms(4, 5) }] })), rooms(4, 5));
    assert.deepEqual(ids(await post({ entities: [{ type: 'Room', id: rooms(6)[0], idPattern: 'nothing' }] })), rooms(6));
    assert.deepEqual(ids(await post({ attrs: ['tags'] })), rooms(7));
    assert.deepEqual(ids(await post({ entities: [{ type: 'Room' }], scopeQ: '/town/north' })), rooms(1, 2));
    const picked = await post({ entities: [{ type: 'Hall' }], pick: ['seats'] }, '?options=keyValues&limit=1&count=true');
    assert.deepEqual(picked.json, [{ seats: 100 }]);
    assert.equal(picked.headers.get('ngsild-results-count'), '5');
    const named = await post({ entities: [{ type: 'Room', id: rooms(7)[0] }], pick: ['label'], lang: 'ja' }, '?options=keyValues');
    assert.deepEqual(named.json, [{ label: '部屋 7' }]);
});

test('POST: several selectors', async () => {
    const entities = [{ type: 'Room', idPattern: 'Room:0[12]$' }, { type: 'Hall', id: 'urn:ngsi-ld:Hall:4' }, { type: 'Hall;Room' }];
    const expected = [...rooms(1, 2), 'urn:ngsi-ld:Hall:1', 'urn:ngsi-ld:Hall:2', 'urn:ngsi-ld:Hall:4'];
    assert.deepEqual(ids(await post({ entities })), expected);
    const page = await post({ entities }, '?limit=2&offset=1&count=true');
    assert.deepEqual(ids(page), expected.slice(1, 3));
    assert.equal(page.headers.get('ngsild-results-count'), '5');
});

test('POST: bodies that are no query', async () => {
    for (const body of [{ type: 'Question', entities: [{ type: 'Room' }] }, { type: 'Query' }, { type: 'Query', entities: [] },
        { type: 'Query', entities: [{ id: rooms(1)[0] }] }, { type: 'Query', entities: [{ type: 'Room', id: 'no uri' }] },
        { type: 'Query', entities: [{ type: 'Room', id: [rooms(1)[0], 5] }] }, { type: 'Query', entities: [{ type: 'Room' }], q: 5 },
        { type: 'Query', entities: [{ type: 'Room' }], geoQ: { georel: 'near', geometry: 'Point' } }, [1]])
        assertError(await ld.post('/entityOperations/query', body), 400, 'BadRequestData');
});

test('purge: entities, or some of their attributes', async () => {
    const make = () => ld.post('/entityOperations/upsert', [1, 2, 3].map((i) => ({ id: `urn:ngsi-ld:Old:${i}`, type: 'Old', a: i, b: i, c: i })));
    const left = async () => (await query('type=Old&options=keyValues')).json.map((e) => Object.keys(e).slice(2).join(''));
    await make();
    assert.equal((await ld.delete(`/entities?type=Old&q=${enc('a>1')}`)).status, 204);
    assert.deepEqual(ids(await query('type=Old')), ['urn:ngsi-ld:Old:1']);
    await make();
    assert.equal((await ld.delete('/entities?type=Old&drop=a')).status, 204);
    assert.deepEqual(await left(), ['bc', 'bc', 'bc']);
    assert.equal((await ld.delete('/entities?type=Old&keep=c')).status, 204);
    assert.deepEqual(await left(), ['c', 'c', 'c']);
    assert.equal((await ld.delete('/entities?type=Old')).status, 204);
    assert.deepEqual(ids(await query('type=Old')), []);
    assertError(await ld.delete('/entities'), 400, 'BadRequestData');
    assertError(await ld.delete('/entities?type=Old&keep=a&drop=b'), 400, 'BadRequestData');
    assertError(await ld.delete('/entities?type=Old&nothing=1'), 400, 'InvalidRequest');
});

test('downloads hold everything', async () => {
    const ndjson = await ld.city.get('/link/v1/export.ndjson?type=Room');
    assert.equal(ndjson.status, 200);
    assert.match(ndjson.headers.get('content-disposition'), /attachment/);
    assert.equal(ndjson.text.trim().split('\n').map((l) => JSON.parse(l)).length, 32);
    const geo = await ld.city.get('/link/v1/export.geojson?type=Room');
    assert.equal(geo.json.features.length, 32);
    const csv = await ld.city.get('/link/v1/export.csv?type=Hall');
    assert.equal(csv.headers.get('content-type'), 'text/csv; charset=utf-8');
    assert.deepEqual(csv.text.trim().split('\r\n').slice(0, 2), ['id,type,seats', 'urn:ngsi-ld:Hall:1,Hall Room,100']);
    assertError(await ld.city.get('/link/v1/export.csv'), 400, 'BadRequestData');
});

test('texts in CSV are quoted, and no formulas', async () => {
    await ld.create({ id: 'urn:x:csv', type: 'Csv', a: 'x,"y"\nz', b: '=1+1', c: '+81-29-000-0000', d: '+1|cmd', e: -5, f: true, g: { k: 1 } });
    const csv = (await ld.city.get('/link/v1/export.csv?type=Csv&pick=a,b,c,d,e,f,g')).text;
    assert.equal(csv, 'id,type,a,b,c,d,e,f,g\r\nurn:x:csv,Csv,"x,""y""\nz",\'=1+1,+81-29-000-0000,\'+1|cmd,-5,true,"{""k"":1}"\r\n');
});

test('downloads longer than one piece, by the names of a context', async () => {
    await ld.post('/entityOperations/create', Array.from({ length: 300 }, (_, i) => ({ id: `urn:x:long:${i}`, type: 'Long', n: i })));
    const lines = (await ld.city.get('/link/v1/export.ndjson?type=Long')).text.trim().split('\n').map((l) => JSON.parse(l).n);
    assert.deepEqual(lines, Array.from({ length: 300 }, (_, i) => i));
    const context = await ld.post('/jsonldContexts', { '@context': { number: 'https://uri.etsi.org/ngsi-ld/default-context/n' } });
    const csv = await ld.city.get('/link/v1/export.csv?type=Long', contextLink(context.headers.get('location')));
    assert.match(csv.text, /^id,type,number\r\n/);
    assertError(await ld.city.get('/link/v1/export.csv?type=Long', { 'NGSILD-Tenant': 'none' }), 404, 'NonexistentTenant');
});

await run(() => ld.city.stop());
