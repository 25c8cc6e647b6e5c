#!/usr/bin/env node
// Merge patches: lang, observedAt and simplified values (clauses 5.5.12, 5.6.17, 5.6.20).
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
let n = 0;
const room = (attrs) => ld.create({ id: `urn:ngsi-ld:Room:${++n}`, type: 'Room', ...attrs });
const text = (languageMap) => ({ type: 'LanguageProperty', languageMap });
const merge = async (id, body, query = '') => {
    const res = await ld.patch(`/entities/${id}${query}`, body);
    assert.equal(res.status, 204, res.text);
    return ld.read(id);
};

test('a language replaces that entry of a languageMap only', async () => {
    const id = await room({ name: text({ en: 'hall', ja: 'ホール' }), plain: { type: 'Property', value: 'x' } });
    let e = await merge(id, { name: 'Saal' }, '?options=keyValues&lang=de');
    assert.deepEqual(e.name, text({ en: 'hall', ja: 'ホール', de: 'Saal' }));
    e = await merge(id, { name: '広間', plain: 'y' }, '?format=simplified&lang=ja');
    assert.deepEqual(e.name, text({ en: 'hall', ja: '広間', de: 'Saal' }));
    assert.deepEqual(e.plain, { type: 'Property', value: 'y' }, 'other kinds take the text as it is');
    e = await merge(id, { name: 'any' }, '?options=keyValues');
    assert.equal(e.name.languageMap['@none'], 'any', 'without a language: for no language in particular');
});

test('simplified values keep the kind of what is there', async () => {
    const id = await room({ near: { type: 'Relationship', object: 'urn:x:1' }, list: { type: 'ListProperty', valueList: [1] }, raw: { type: 'JsonProperty', json: { a: 1 } }, at: { type: 'GeoProperty', value: { type: 'Point', coordinates: [1, 2] } } });
    const e = await merge(id, { near: 'urn:x:2', list: [2, 3], raw: [{ b: 5 }], at: { type: 'Point', coordinates: [3, 4] }, extra: 1 }, '?options=keyValues');
    assert.deepEqual(e, { id, type: 'Room', near: { type: 'Relationship', object: 'urn:x:2' }, list: { type: 'ListProperty', valueList: [2, 3] }, raw: { type: 'JsonProperty', json: [{ b: 5 }] }, at: { type: 'GeoProperty', value: { type: 'Point', coordinates: [3, 4] } }, extra: { type: 'Property', value: 1 } });
    assertError(await ld.patch(`/entities/${id}?options=keyValues`, { near: 'no uri' }), 400, 'BadRequestData');
});

test('a common observedAt goes to what had one', async () => {
    const at = '2026-01-01T00:00:00Z', common = '2026-02-02T00:00:00Z', own = '2026-03-03T00:00:00Z';
    const id = await room({ a: { type: 'Property', value: 1, observedAt: at }, b: { type: 'Property', value: 1 }, c: { type: 'Property', value: 1, observedAt: at }, d: { type: 'Property', value: 1, observedAt: at } });
    const e = await merge(id, { a: 2, b: 2, c: { value: 2, observedAt: own }, extra: 1 }, `?observedAt=${common}`);
    assert.deepEqual([e.a, e.b, e.c, e.d, e.extra].map((x) => x.observedAt), [common, undefined, own, at, undefined]);
    for (const wrong of ['yesterday', '2026-02-02T00:00:00%2B09:00', ''])
        assertError(await ld.patch(`/entities/${id}?observedAt=${wrong}`, { a: 3 }), 400, 'BadRequestData');
});

test('in batches', async () => {
    const id = await room({ name: text({ en: 'hall' }), a: { type: 'Property', value: 1, observedAt: '2026-01-01T00:00:00Z' } });
    const res = await ld.post('/entityOperations/merge?options=keyValues&lang=ja&observedAt=2026-02-02T00:00:00Z', [{ id, name: 'ホール', a: 2 }]);
    assert.equal(res.status, 204, res.text);
    const e = await ld.read(id);
    assert.deepEqual(e.name, text({ en: 'hall', ja: 'ホール' }));
    assert.deepEqual(e.a, { type: 'Property', value: 2, observedAt: '2026-02-02T00:00:00Z' });
    assertError(await ld.post('/entityOperations/merge?observedAt=x', [{ id, a: 2 }]), 400, 'BadRequestData');
});

await run(() => ld.city.stop());
