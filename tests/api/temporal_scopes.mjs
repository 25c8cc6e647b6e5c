#!/usr/bin/env node
// Scopes in the evolution, scopeQ by when they held (clauses 4.5.6, 4.18, 5.7.4); deleting what only
// the evolution knows (5.6.5).
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
const at = (minute) => `2026-03-01T12:${String(minute).padStart(2, '0')}:00Z`;
const past = async (id, query = '') => (await ld.get(`/temporal/entities/${id}${query}`)).json;
const set = (value, observedAt) => ({ type: 'Property', value, observedAt });
const made = async (name, speeds, scope) => {
    const id = `urn:ngsi-ld:Tram:${name}`;
    const res = await ld.post('/temporal/entities', { id, type: 'Tram', ...(scope && { scope }), speed: speeds.map(([v, t]) => set(v, at(t))) });
    assert.equal(res.status, 201, res.text);
    return id;
};
const shown = (scope) => scope?.map((s) => s.value);

test('scopes that change in the current state are instances, observed when they were set', async () => {
    const id = await ld.create({ id: 'urn:ngsi-ld:Bus:1', type: 'Bus', scope: '/old', speed: 1 });
    assert.equal((await ld.patch(`/entities/${id}`, { scope: ['/new', '/other'] })).status, 204);
    assert.equal((await ld.patch(`/entities/${id}/attrs`, { speed: 2 })).status, 204);
    const { scope } = await past(id, '?options=sysAttrs');
    assert.deepEqual(shown(scope), ['/old', ['/new', '/other']]);
    for (const one of scope) {
        assert.equal(one.type, 'Property');
        assert.equal(one.observedAt, one.modifiedAt);
        assert.match(one.instanceId, /^urn:/);
        assert.deepEqual(Object.keys(one).sort(), ['createdAt', 'instanceId', 'modifiedAt', 'observedAt', 'type', 'value']);
    }
    const pairs = (await past(id, '?options=temporalValues')).scope;
    assert.deepEqual(pairs.values.map((v) => v[0]), ['/old', ['/new', '/other']]);
    assert.deepEqual(shown((await past(id, '?lastN=1')).scope), [['/new', '/other']]);
    assert.deepEqual(Object.keys(await past(id, '?pick=scope')), ['scope']);
    assert.ok(!('scope' in await past(id, '?omit=scope')));
    assert.ok(!('scope' in await past(id, '?options=aggregatedValues&aggrMethods=avg')));
    assertError(await ld.get(`/temporal/entities/${id}?attrs=nothing`), 404, 'ResourceNotFound');
});

test('a scope that is deleted, and one of an entity that is', async () => {
    const id = await ld.create({ id: 'urn:ngsi-ld:Bus:2', type: 'Bus', scope: '/a', speed: 1 });
    assert.equal((await ld.delete(`/entities/${id}/attrs/scope`)).status, 204);
    const all = (await past(id)).scope;
    assert.deepEqual(shown(all), ['/a', 'urn:ngsi-ld:null']);
    assert.ok(all[1].deletedAt);
    assert.deepEqual(shown((await past(id, '?timeproperty=deletedAt')).scope), ['urn:ngsi-ld:null']);
    assert.equal((await past(id, '?timeproperty=deletedAt&options=temporalValues')).scope.values[0][0], 'urn:ngsi-ld:null');
    assert.deepEqual((await past(id, '?options=temporalValues')).scope.values.map((v) => v[0]), ['/a']);
    const gone = await ld.create({ id: 'urn:ngsi-ld:Bus:3', type: 'Bus', scope: '/g', speed: 1 });
    assert.equal((await ld.delete(`/entities/${gone}`)).status, 204);
    assert.deepEqual(shown((await past(gone)).scope), ['/g', 'urn:ngsi-ld:null']);
});

test('single scopes of the evolution are replaced and deleted by their ids', async () => {
    const id = await made('ids', [[1, 1]], [set('/x', at(1)), set('/y', at(2))]);
    const [x, y] = (await past(id)).scope;
    assert.equal((await ld.patch(`/temporal/entities/${id}/attrs/scope/${x.instanceId}`, { type: 'Property', value: '/z', observedAt: at(1) })).status, 204);
    assertError(await ld.patch(`/temporal/entities/${id}/attrs/scope/${x.instanceId}`, { value: 'a b' }), 400, 'BadRequestData');
    assert.equal((await ld.delete(`/temporal/entities/${id}/attrs/scope/${y.instanceId}`)).status, 204);
    assert.deepEqual(shown((await past(id)).scope), ['/z']);
    assert.equal((await ld.post(`/temporal/entities/${id}/attrs`, { scope: [set('/late', at(9))] })).status, 204);
    assert.deepEqual(shown((await past(id)).scope), ['/z', '/late']);
    assert.equal((await ld.delete(`/temporal/entities/${id}/attrs/scope`)).status, 204);
    assert.ok(!('scope' in await past(id)));
    assert.equal((await ld.delete(`/temporal/entities/${id}/attrs/scope`)).status, 404);
});

const window = `timerel=between&timeAt=${at(0)}&endTimeAt=${at(59)}`;
const early = '2026-03-01T10:00:00Z', after = '2026-03-01T14:00:00Z';
const ab = await made('ab', [['ab', 5]], [set('/A/B', early)]);
const xx = await made('xx', [['xx', 5]], [set('/X', early)]);
await made('bare', [['bare', 5]]);
const both = await made('both', [['both', 5]], [set(['/A/B', '/C'], early)]);
const mid = await made('mid', [['before', 5], ['since', 15]], [set('/M', at(10))]);
const rep = await made('rep', [['one', 15], ['two', 45]], [set('/R', early), set('/S', at(30))]);
await made('late', [['late', 5]], [set('/Z', after)]);
const back = await made('back', [['first', 5], ['between', 25], ['second', 45]], [set('/P', early), set('/Q', at(20)), set('/P', at(40))]);
const scoped = async (scope, query = window, more = '') => {
    const res = await ld.get(`/temporal/entities?type=Tram&scopeQ=${encodeURIComponent(scope)}&${query}${more}`);
    assert.equal(res.status, 200, res.text);
    return Object.fromEntries(res.json.map((e) => [e.id, e]));
};
const speeds = (e) => e.speed.map((s) => s.value);

test('scopeQ looks at the scopes that held in the range', async () => {
    assert.deepEqual(Object.keys(await scoped('/A/B')).sort(), [ab, both].sort());
    assert.deepEqual(Object.keys(await scoped('/Y')), []);
    assert.deepEqual(Object.keys(await scoped('/A/#')).sort(), [ab, both].sort());
    assert.deepEqual(Object.keys(await scoped('/#')).sort(), [ab, back, both, mid, rep, xx].sort());
    assert.deepEqual(Object.keys(await scoped('/X|/M')).sort(), [mid, xx].sort());
    assert.deepEqual(Object.keys(await scoped('(/A/B;/C)')), [both]);
    assert.deepEqual(Object.keys(await scoped('/Z')), []);
    assert.deepEqual(Object.keys(await scoped('/Z', `timerel=after&timeAt=${at(0)}`)), []);
});

test('instances show of the times when it held', async () => {
    assert.deepEqual(speeds((await scoped('/M'))[mid]), ['since']);
    assert.deepEqual(speeds((await scoped('/R'))[rep]), ['one']);
    assert.deepEqual(speeds((await scoped('/S'))[rep]), ['two']);
    assert.deepEqual(speeds((await scoped('/R|/S'))[rep]), ['one', 'two']);
    assert.deepEqual(speeds((await scoped('/P'))[back]), ['first', 'second']);
    assert.deepEqual(speeds((await scoped('/Q'))[back]), ['between']);
    assert.deepEqual(speeds((await scoped('/P', `timerel=before&timeAt=${at(30)}`))[back]), ['first']);
    assert.deepEqual((await scoped('/M', window, '&options=aggregatedValues&aggrMethods=totalCount'))[mid].speed.totalCount[0][0], 1);
    assert.deepEqual(speeds((await scoped('/M', window, '&orderBy=id&local=true'))[mid]), ['since']);
});

test('the scope that held when the range began is told with it', async () => {
    assert.deepEqual(shown((await scoped('/A/B'))[ab].scope), ['/A/B']);
    assert.deepEqual(shown((await scoped('/R'))[rep].scope), ['/R', '/S']);
    assert.deepEqual(shown((await past(rep, `?timerel=after&timeAt=${at(40)}`)).scope), ['/S']);
});

test('an attribute that only the evolution knows is deleted: that ends', async () => {
    const id = 'urn:ngsi-ld:Tram:known';
    const name = [{ type: 'LanguageProperty', languageMap: { en: 'x' }, observedAt: at(1) }];
    const to = [{ type: 'Relationship', object: 'urn:x:1', observedAt: at(1) }];
    await ld.post('/temporal/entities', { id, type: 'Tram', scope: [set('/a', at(1))], fuel: [set(1, at(1)), { ...set(2, at(1)), datasetId: 'urn:d:1' }], name, to });
    for (const attr of ['fuel', 'name', 'to', 'scope'])
        assert.equal((await ld.delete(`/entities/${id}/attrs/${attr}`)).status, 204, attr);
    const ended = await past(id, '?timeproperty=deletedAt');
    assert.deepEqual(shown(ended.fuel), ['urn:ngsi-ld:null']);
    assert.ok(ended.fuel[0].deletedAt);
    assert.deepEqual(ended.name[0].languageMap, { '@none': 'urn:ngsi-ld:null' });
    assert.equal(ended.to[0].object, 'urn:ngsi-ld:null');
    assert.deepEqual(shown(ended.scope), ['urn:ngsi-ld:null']);
    const pairs = await past(id, '?timeproperty=deletedAt&options=temporalValues');
    assert.equal(pairs.fuel.values[0][0], 'urn:ngsi-ld:null');
    assert.deepEqual(pairs.name.languageMaps[0][0], { languageMap: { '@none': 'urn:ngsi-ld:null' } });
    assertError(await ld.delete(`/entities/${id}/attrs/fuel`), 404, 'ResourceNotFound'); // it has ended
    assert.equal((await ld.delete(`/entities/${id}/attrs/fuel?deleteAll=true`)).status, 204); // the dataset had not
    assertError(await ld.delete(`/entities/${id}/attrs/nothing`), 404, 'ResourceNotFound');
    assertError(await ld.delete(`/entities/${id}/attrs/scope`), 404, 'ResourceNotFound');
    assertError(await ld.delete('/entities/urn:ngsi-ld:Tram:none/attrs/fuel'), 404, 'ResourceNotFound');
    assertError(await ld.get(`/entities/${id}`), 404, 'ResourceNotFound');
});

await run(() => ld.city.stop());
