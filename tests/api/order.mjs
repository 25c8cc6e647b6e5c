#!/usr/bin/env node
// orderBy and collation (clause 4.23), with pages that do not shift.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, ids, startLd } from '../lib/ngsi.mjs';

const ld = await startLd({ args: ['--link.page_default=20', '--link.page_max=100'] });
const enc = encodeURIComponent;
const query = (q) => ld.get(`/entities?type=Shop&${q}`);
const post = (ordering, more = {}, params = '') => ld.post(`/entityOperations/query${params}`, { type: 'Query', entities: [{ type: 'Shop' }], ...(ordering ? { ordering } : {}), ...more });
const short = (res) => ids(res).map((id) => id.replace('urn:ngsi-ld:Shop:', '')).join(' ');
const shop = (name, attrs) => ({ id: `urn:ngsi-ld:Shop:${name}`, type: 'Shop', ...attrs });
const value = (v, more = {}) => ({ type: 'Property', value: v, ...more });
const at = (x, y) => ({ type: 'GeoProperty', value: { type: 'Point', coordinates: [x, y] } });

const made = await ld.post('/entityOperations/create', [
    shop('a', { name: value('zebra'), rank: value(10, { observedAt: '2026-01-03T00:00:00Z' }), location: at(140.0, 36.0), address: value({ city: 'Tsu' }) }),
    shop('b', { name: value('Ärlig'), rank: value(2, { observedAt: '2026-01-02T00:00:00Z' }), location: at(140.2, 36.0), address: value({ city: 'Oami' }) }),
    shop('c', { name: value('banana'), rank: value(2), location: at(140.1, 36.0), title: { type: 'LanguageProperty', languageMap: { en: 'x', ja: 'あ' } } }),
    shop('d', { name: value('Apple'), rank: value('ten'), title: { type: 'LanguageProperty', languageMap: { en: 'a', ja: 'ん' } } }),
    shop('e', { rank: value(true), owner: { type: 'Relationship', object: 'urn:ngsi-ld:Person:1' } }),
]);
assert.equal(made.status, 201, made.text);

test('by attribute: ascending is the default, kinds have ranks, what is absent comes last', async () => {
    assert.equal(short(await query('orderBy=rank')), 'b c a d e');
    assert.equal(short(await query(`orderBy=${enc('rank;asc')}`)), 'b c a d e');
    assert.equal(short(await query(`orderBy=${enc('name;desc')}`)), 'a c b d e');
    assert.equal(short(await query(`orderBy=${enc('rank,name;desc')}`)), 'c b a d e');
    assert.equal(short(await query('orderBy=owner')), 'e a b c d');
    assert.equal(short(await query('orderBy=nothing')), 'a b c d e', 'alike: in order of creation');
});

test('by id, type and times', async () => {
    assert.equal(short(await query(`orderBy=${enc('id;desc')}`)), 'e d c b a');
    assert.equal(short(await query(`orderBy=${enc('type,id;desc')}`)), 'e d c b a');
    assert.equal(short(await query('orderBy=rank.observedAt')), 'b a c d e');
    await ld.patch('/entities/urn:ngsi-ld:Shop:c/attrs', { rank: value(2) });
    assert.match(short(await query(`orderBy=${enc('modifiedAt;desc')}`)), /^c /);
});

test('into values and languages', async () => {
    assert.equal(short(await query(`orderBy=${enc('address[city]')}`)), 'b a c d e');
    assert.equal(short(await query('orderBy=title&lang=en')), 'd c a b e');
    assert.equal(short(await query('orderBy=title&lang=ja')), 'c d a b e');
});

test('texts are ordered by the collation', async () => {
    assert.equal(short(await query('orderBy=name')), 'd b c a e', 'the root collation');
    assert.equal(short(await query('orderBy=name&collation=de')), 'd b c a e');
    assert.equal(short(await query('orderBy=name&collation=sv')), 'd c a b e');
    assertError(await query('orderBy=name&collation=no%20language'), 400, 'BadRequestData');
    assertError(await query('collation=no%20language'), 400, 'BadRequestData');
});

test('by distance', async () => {
    assert.equal(short(await query(`orderBy=${enc('location;dist-asc')}&orderFrom=[140,36]`)), 'a c b d e');
    assert.equal(short(await query(`orderBy=${enc('location;dist-desc')}&orderFrom=[140,36]&orderGeometry=Point`)), 'b c a d e');
    for (const wrong of ['', '&orderFrom=[140', '&orderFrom=[[1,2]]', '&orderFrom=[140,36]&orderGeometry=Circle'])
        assertError(await query(`orderBy=${enc('location;dist-asc')}${wrong}`), 400, 'BadRequestData');
});

test('what is no order is refused', async () => {
    for (const wrong of ['', ',', 'rank,', 'rank;up', 'rank;', 'address[', 'rank;asc;desc'])
        assertError(await query(`orderBy=${enc(wrong)}`), 400, 'BadRequestData');
    for (const wrong of ['rank', { orderBy: [] }, { orderBy: 'rank' }, { orderBy: [1] }, { collation: 'de' }, { orderBy: ['rank'], collation: 7 }, { orderBy: ['rank'], coordinates: 'x' }, { orderBy: ['rank;up'] }])
        assertError(await post(wrong), 400, 'BadRequestData');
});

test('in a body', async () => {
    assert.equal(short(await post({ orderBy: ['rank', 'name;desc'] })), 'c b a d e');
    assert.equal(short(await post({ orderBy: ['name'], collation: 'sv' })), 'd c a b e');
    assert.equal(short(await post({ orderBy: ['location;dist-desc'], geometry: 'Point', coordinates: [140, 36] })), 'b c a d e');
    assert.equal(short(await post(null, {}, `?orderBy=${enc('name;desc')}`)), 'a c b d e', 'or beside it');
    const several = await post({ orderBy: ['id;desc'] }, { entities: [{ type: 'Shop', idPattern: '[ab]$' }, { type: 'Shop', id: 'urn:ngsi-ld:Shop:e' }] }, '?count=true');
    assert.equal(short(several), 'e b a');
    assert.equal(several.headers.get('ngsild-results-count'), '3');
});

test('with filters, projections, representations and joins', async () => {
    assert.equal(short(await query(`q=${enc('rank<5')}&orderBy=${enc('id;desc')}`)), 'c b');
    assert.deepEqual((await query('orderBy=rank&pick=id,rank&format=simplified&limit=2')).json, [{ id: 'urn:ngsi-ld:Shop:b', rank: 2 }, { id: 'urn:ngsi-ld:Shop:c', rank: 2 }]);
    const geo = await ld.get(`/entities?type=Shop&orderBy=${enc('id;desc')}`, { Accept: 'application/geo+json' });
    assert.deepEqual(geo.json.features.map((f) => f.id.at(-1)).join(''), 'edcba');
    assert.equal(ids(await query('orderBy=owner&join=flat')).length, 5);
});

const next = (res, rel = 'next') => new RegExp(`<([^>]*)>; rel="${rel}"`).exec(res.headers.get('link'))?.[1];

test('pages lead to one another and do not shift', async () => {
    const seen = [];
    let at = `/ngsi-ld/v1/entities?type=Shop&orderBy=${enc('name;desc')}&limit=2&count=true`;
    for (let page = 0; at; page++) {
        const res = await ld.city.get(at);
        seen.push(short(res));
        assert.equal(res.headers.get('ngsild-results-count'), String(page < 1 ? 5 : 6));
        assert.equal(next(res, 'prev') !== undefined, page > 0);
        at = next(res);
        if (page === 0)
            await ld.create(shop('first', { name: value('zzz') })); // stands before all
        assert.ok(page < 5);
    }
    assert.deepEqual(seen, ['a c', 'b d', 'e']);
    await ld.delete('/entities/urn:ngsi-ld:Shop:first');
    assert.equal(short(await query(`orderBy=${enc('name;desc')}&limit=2&offset=3`)), 'd e');
    assert.equal(short(await query(`orderBy=${enc('name;desc')}&offset=9`)), '');
    for (const wrong of ['cursor=x', 'cursor=1-1', 'cursor=.3', 'cursor=AA.-1', 'cursor=A*.1', 'cursor=AAAA.1&offset=2'])
        assertError(await query(`orderBy=name&${wrong}`), 400, 'BadRequestData');
    assertError(await query('orderBy=name&offset=100000'), 403, 'TooManyResults');
});

test('long keys: pages go by offset', async () => {
    const long = '長い'.repeat(400);
    await ld.post('/entityOperations/create', ['3', '2', '1'].map((n) => ({ id: `urn:ngsi-ld:Long:${n}`, type: 'Long', name: value(long + n) })));
    const first = await ld.get('/entities?type=Long&orderBy=name&limit=1');
    assert.deepEqual(ids(first), ['urn:ngsi-ld:Long:1']);
    const second = await ld.city.get(next(first));
    assert.deepEqual(ids(second), ['urn:ngsi-ld:Long:2']);
    assert.deepEqual(ids(await ld.city.get(next(second, 'prev'))), ['urn:ngsi-ld:Long:1']);
});

test('limit=0 counts', async () => {
    const res = await query('orderBy=name&limit=0&count=true');
    assert.deepEqual([res.json, res.headers.get('ngsild-results-count')], [[], '5']);
});

await run(() => ld.city.stop());
