#!/usr/bin/env node
// Answers and notifications as of an older version of NGSI-LD (clauses 4.3.6.8, 5.8.6, 6.3.6).
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';
import { eventually } from '../lib/city.mjs';
import { startReceiver } from '../lib/receiver.mjs';

const ld = await startLd({ args: ['--client.allow_private=true'] });
const all = 'urn:ngsi-ld:Thing:all';
await ld.create({
    id: all, type: ['Thing', 'Other'], scope: '/a', expiresAt: '2999-01-01T00:00:00Z',
    plain: { value: 1, unitCode: 'MTR', observedAt: '2026-01-01T00:00:00Z', valueType: 'xsd:integer', note: { json: { a: 1 } } },
    lang: { languageMap: { en: 'hello', ja: 'やあ' } }, json: { json: { b: [1.0] } }, vocab: { vocab: 'Term' },
    list: { valueList: [1, 2] }, link: { object: 'urn:x:1', objectType: 'Thing' }, links: { objectList: ['urn:x:1', 'urn:x:2'] },
    several: [{ value: 1, datasetId: 'urn:d:1' }, { value: 2 }],
});
const as = async (version, query = '', path = `/entities/${all}`) => ld.get(path + query, { Prefer: `ngsi-ld=${version}` });
const without = ({ id, type, ...rest }) => rest;

test('1.9 is what there is', async () => {
    for (const version of ['1.9', '1.9.1', '2.0']) {
        const res = await as(version);
        assert.equal(res.status, 200);
        assert.equal(res.headers.get('preference-applied'), 'ngsi-ld=1.9');
        assert.equal(res.json.plain.valueType, 'xsd:integer');
    }
    assert.equal((await ld.get(`/entities/${all}`)).headers.get('preference-applied'), null);
});

test('1.8 has no expiresAt and no valueType', async () => {
    const res = await as('1.8', '?options=sysAttrs');
    assert.equal(res.status, 203);
    assert.equal(res.headers.get('preference-applied'), 'ngsi-ld=1.8');
    assert.ok(!('expiresAt' in res.json) && !('valueType' in res.json.plain));
    assert.equal(res.json.vocab.type, 'VocabProperty');
    assert.equal(res.json.link.objectType, 'Thing');
});

test('1.6 has neither the kinds of 1.8 nor objectType', async () => {
    const { json } = await as('1.6');
    assert.deepEqual(json.json, { type: 'Property', value: { b: [1.0] } });
    assert.deepEqual(json.vocab, { type: 'Property', value: 'Term' });
    assert.deepEqual(json.list, { type: 'Property', value: [1, 2] });
    assert.deepEqual(json.links, { type: 'Relationship', object: ['urn:x:1', 'urn:x:2'] });
    assert.deepEqual(json.link, { type: 'Relationship', object: 'urn:x:1' });
    assert.deepEqual(json.plain.note, { type: 'Property', value: { a: 1 } });
    assert.equal(json.lang.type, 'LanguageProperty');
    assert.deepEqual(json.type, ['Thing', 'Other']);
    assert.equal(json.several.length, 2);
});

test('1.3 has no languages and no scopes', async () => {
    const { json } = await as('1.3');
    assert.deepEqual(json.lang, { type: 'Property', value: { en: 'hello', ja: 'やあ' } });
    assert.ok(!('scope' in json));
    assert.equal(json.plain.unitCode, 'MTR');
});

test('1.0 has one type and the default instance', async () => {
    const { json } = await as('1.0');
    assert.equal(json.type, 'Thing');
    assert.deepEqual(json.several, { type: 'Property', value: 2 });
    assert.deepEqual(json.plain, { type: 'Property', value: 1, note: { type: 'Property', value: { a: 1 } } });
});

test('the concise and the simplified form', async () => {
    const concise = (await as('1.0', '?options=concise')).json;
    assert.deepEqual(concise.lang, { value: { en: 'hello', ja: 'やあ' } });
    assert.deepEqual(concise.vocab, { value: 'Term' });
    assert.deepEqual(concise.links, { object: ['urn:x:1', 'urn:x:2'] });
    const bare = without((await as('1.0', '?options=keyValues')).json);
    assert.deepEqual(bare, { plain: 1, lang: { en: 'hello', ja: 'やあ' }, json: { b: [1] }, vocab: 'Term', list: [1, 2], link: 'urn:x:1', links: ['urn:x:1', 'urn:x:2'], several: 2 });
    const six = (await as('1.6', '?options=keyValues')).json;
    assert.deepEqual(six.lang, { languageMap: { en: 'hello', ja: 'やあ' } });
    assert.deepEqual(six.several, { dataset: { '@none': 2, 'urn:d:1': 1 } });
});

test('lists, JSON-LD, evolution', async () => {
    const list = await as('1.6', '?type=Thing&count=true', '/entities');
    assert.equal(list.status, 203);
    assert.equal(list.headers.get('ngsild-results-count'), '1');
    assert.equal(list.json[0].vocab.type, 'Property');
    const body = await ld.request('POST', '/entityOperations/query', { body: { type: 'Query', entities: [{ type: 'Thing' }] }, headers: { Prefer: 'ngsi-ld=1.6', Accept: 'application/ld+json' } });
    assert.equal(body.status, 203);
    assert.ok(body.json[0]['@context']);
    assert.equal(body.json[0].vocab.type, 'Property');
    const past = await as('1.6', '', `/temporal/entities/${all}`);
    assert.equal(past.status, 203);
    assert.equal(past.json.vocab[0].type, 'Property');
    assert.equal(past.json.vocab[0].value, 'Term');
    const pairs = await as('1.0', '?options=temporalValues&timeproperty=modifiedAt', `/temporal/entities/${all}`);
    assert.equal(pairs.json.lang.type, 'Property');
    assert.deepEqual(pairs.json.lang.values[0][0], { en: 'hello', ja: 'やあ' });
    assert.deepEqual(pairs.json.links.objects[0][0], ['urn:x:1', 'urn:x:2']);
});

test('GeoJSON is as it is', async () => {
    const res = await ld.get(`/entities/${all}`, { Prefer: 'ngsi-ld=1.0', Accept: 'application/geo+json' });
    assert.equal(res.status, 200);
    assert.equal(res.json.properties.vocab.type, 'VocabProperty');
});

test('what is no entity is not amended, and the header is read as RFC 7240 has it', async () => {
    const made = await ld.post('/subscriptions', { type: 'Subscription', entities: [{ type: 'Thing' }], expiresAt: '2999-01-01T00:00:00Z', notification: { attributes: ['a'], endpoint: { uri: 'http://127.0.0.1:9/x' } } });
    const path = made.headers.get('location').replace('/ngsi-ld/v1', '');
    for (const prefer of ['ngsi-ld=1.0', 'NGSI-LD=1.0', 'Ngsi-Ld=1.0', 'ngsi-ld="1.0"', 'ngsi-ld=1.0;q=0.1', 'respond-async, ngsi-ld=1.0', 'ngsi-ld = 1.0']) {
        const res = await ld.get(path, { Prefer: prefer });
        assert.equal(res.status, 200, prefer);
        assert.equal(res.headers.get('preference-applied'), 'ngsi-ld=1.0', prefer);
        assert.equal(res.json.expiresAt, '2999-01-01T00:00:00Z');
        assert.deepEqual(res.json.notification.attributes, ['a']);
    }
    for (const prefer of ['respond-async', 'ngsi-ld', 'ngsi-ld=', 'ngsi-ld=junk', 'ngsi-ld=1', 'xngsi-ld=1.0'])
        assert.equal((await ld.get(path, { Prefer: prefer })).headers.get('preference-applied'), null, prefer);
    assert.equal((await ld.delete(path)).status, 204);
});

test('ngsildConformance: notifications too', async () => {
    const receiver = await startReceiver();
    const subscribe = (extra) => ld.post('/subscriptions', { type: 'Subscription', entities: [{ type: 'Told' }], ...extra, notification: { endpoint: { uri: `${receiver.url}/told` } } });
    const next = (n) => eventually(() => receiver.got('told')[n]?.body.data[0]);
    assertError(await subscribe({ ngsildConformance: 'new' }), 400, 'BadRequestData');
    assertError(await subscribe({ ngsildConformance: 1.6 }), 400, 'BadRequestData');
    const made = await subscribe({ ngsildConformance: '1.6' });
    assert.equal(made.status, 201, made.text);
    const path = made.headers.get('location').replace('/ngsi-ld/v1', '');
    assert.equal((await ld.get(path)).json.ngsildConformance, '1.6');
    await ld.create({ id: 'urn:ngsi-ld:Told:1', type: 'Told', vocab: { vocab: 'Term' }, plain: 1 });
    const told = await next(0);
    assert.deepEqual(told.vocab, { type: 'Property', value: 'Term' });
    assert.deepEqual(told.plain, { type: 'Property', value: 1 });
    assert.equal((await ld.patch(path, { ngsildConformance: '1.9' })).status, 204);
    await ld.create({ id: 'urn:ngsi-ld:Told:2', type: 'Told', vocab: { vocab: 'Term' } });
    assert.deepEqual((await next(1)).vocab, { type: 'VocabProperty', vocab: 'Term' });
    await receiver.down();
});

await run(() => ld.city.stop());
