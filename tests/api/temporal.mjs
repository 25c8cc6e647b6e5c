#!/usr/bin/env node
// The temporal interface: evolution of attributes, values, aggregates, ranges, writing.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, ids, startLd } from '../lib/ngsi.mjs';

const ld = await startLd({ args: ['--link.temporal_max=50'] });
const at = (minute) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString().replace('.000', '');
const car = 'urn:ngsi-ld:Car:1', path = `/temporal/entities/${car}`;
await ld.create({ id: car, type: 'Car', scope: '/a', speed: { type: 'Property', value: 0, observedAt: at(0) }, plate: { type: 'Property', value: 'x' } });
for (let i = 1; i < 10; i++)
    assert.equal((await ld.patch(`/entities/${car}/attrs/speed`, { value: i * 10, observedAt: at(i) })).status, 204);
const range = (from, to) => `timerel=between&timeAt=${at(from)}&endTimeAt=${at(to)}`;

test('every change is an instance with an id', async () => {
    const res = await ld.get(path);
    assert.equal(res.status, 200);
    assert.equal(res.json.id, car);
    assert.equal(res.json.type, 'Car');
    assert.deepEqual(res.json.speed.map((s) => s.value), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    assert.equal(new Set(res.json.speed.map((s) => s.instanceId)).size, 10);
    assert.equal(res.json.plate[0].value, 'x');
    assert.ok(!('createdAt' in res.json.speed[0]));
    assert.ok((await ld.get(`${path}?options=sysAttrs`)).json.speed[0].modifiedAt);
});

test('before, after, between', async () => {
    const values = async (query) => (await ld.get(`${path}?attrs=speed&${query}`)).json.speed?.map((s) => s.value) ?? [];
    assert.deepEqual(await values(`timerel=before&timeAt=${at(2)}`), [0, 10]);
    assert.deepEqual(await values(`timerel=after&timeAt=${at(8)}`), [80, 90]);
    assert.deepEqual(await values(range(3, 5)), [30, 40]);
    assert.deepEqual(await values('lastN=2'), [80, 90]);
    assert.deepEqual(await values(`${range(0, 5)}&lastN=1`), [40]);
    assert.deepEqual(await values('timerel=before&timeAt=2000-01-01T00:00:00Z'), []);
});

test('late data falls into its place', async () => {
    const id = 'urn:ngsi-ld:Car:late';
    await ld.create({ id, type: 'Late', speed: { value: 2, observedAt: at(2) } });
    await ld.patch(`/entities/${id}/attrs/speed`, { value: 1, observedAt: at(1) });
    assert.deepEqual((await ld.get(`/temporal/entities/${id}`)).json.speed.map((s) => s.value), [1, 2]);
});

test('temporalValues: pairs', async () => {
    for (const query of ['options=temporalValues', 'format=temporalValues']) {
        const res = await ld.get(`${path}?${query}&attrs=speed&${range(0, 2)}`);
        assert.deepEqual(res.json, { id: car, type: 'Car', speed: { type: 'Property', values: [[0, at(0)], [10, at(1)]] } });
    }
});

test('temporalValues of every kind', async () => {
    const id = 'urn:ngsi-ld:Kinds:1', observedAt = at(0);
    await ld.create({
        id, type: 'Kinds', rel: { type: 'Relationship', object: 'urn:x:1', observedAt }, lang: { type: 'LanguageProperty', languageMap: { en: 'a' }, observedAt },
        voc: { type: 'VocabProperty', vocab: 'blue', observedAt }, js: { type: 'JsonProperty', json: { a: 1 }, observedAt }, list: { type: 'ListProperty', valueList: [1, 2], observedAt },
        rels: { type: 'ListRelationship', objectList: ['urn:x:1', 'urn:x:2'], observedAt }, geo: { type: 'GeoProperty', value: { type: 'Point', coordinates: [1, 2] }, observedAt },
    });
    const { json } = await ld.get(`/temporal/entities/${id}?options=temporalValues`);
    assert.deepEqual(json.rel, { type: 'Relationship', objects: [['urn:x:1', observedAt]] });
    assert.deepEqual(json.lang, { type: 'LanguageProperty', languageMaps: [[{ languageMap: { en: 'a' } }, observedAt]] });
    assert.deepEqual(json.voc, { type: 'VocabProperty', vocabs: [[{ vocab: 'blue' }, observedAt]] });
    assert.deepEqual(json.js, { type: 'JsonProperty', jsons: [[{ json: { a: 1 } }, observedAt]] });
    assert.deepEqual(json.list, { type: 'ListProperty', valueLists: [[[1, 2], observedAt]] });
    assert.deepEqual(json.rels, { type: 'ListRelationship', objectLists: [[['urn:x:1', 'urn:x:2'], observedAt]] });
    assert.deepEqual(json.geo, { type: 'GeoProperty', values: [[{ type: 'Point', coordinates: [1, 2] }, observedAt]] });
});

test('aggregates over periods', async () => {
    const agg = async (query) => (await ld.get(`${path}?options=aggregatedValues&attrs=speed&${query}`)).json.speed;
    const speed = await agg(`aggrMethods=avg,min,max,sum,totalCount,sumsq,distinctCount,stddev&aggrPeriodDuration=PT5M&${range(0, 10)}`);
    const numbers = (list) => list.map((x) => x[0]);
    assert.deepEqual(numbers(speed.avg), [20, 70]);
    assert.deepEqual(numbers(speed.min), [0, 50]);
    assert.deepEqual(numbers(speed.max), [40, 90]);
    assert.deepEqual(numbers(speed.sum), [100, 350]);
    assert.deepEqual(numbers(speed.totalCount), [5, 5]);
    assert.deepEqual(numbers(speed.distinctCount), [5, 5]);
    assert.deepEqual(numbers(speed.sumsq), [3000, 25500]);
    assert.ok(Math.abs(speed.stddev[0][0] - Math.sqrt(200)) < 1e-9);
    assert.deepEqual(speed.avg.map((x) => [Date.parse(x[1]), Date.parse(x[2])]), [[Date.parse(at(0)), Date.parse(at(5))], [Date.parse(at(5)), Date.parse(at(10))]]);
    assert.deepEqual(numbers((await agg('aggrMethods=avg')).avg), [45], 'the whole range as one');
    for (const wrong of ['options=aggregatedValues', 'options=aggregatedValues,temporalValues&aggrMethods=max', 'options=aggregatedValues&aggrMethods=median', 'options=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=5min'])
        assertError(await ld.get(`${path}?${wrong}`), 400, 'BadRequestData');
});

test('times that cannot be read', async () => {
    for (const wrong of ['timerel=during&timeAt=2026-01-01T00:00:00Z', 'timerel=after', 'timeAt=2026-01-01T00:00:00Z', 'timerel=after&timeAt=yesterday', `timerel=between&timeAt=${at(0)}`,
        'lastN=0', 'lastN=x', 'timeproperty=someday', `timerel=after&timeAt=${at(0)}&endTimeAt=${at(1)}`, 'pick=a{b}'])
        assertError(await ld.get(`${path}?${wrong}`), 400, 'BadRequestData');
});

test('format counts before options; lastN is a number; datasetId is a URI', async () => {
    assert.ok((await ld.get(`${path}?format=temporalValues&options=aggregatedValues`)).json.speed.values);
    assertError(await ld.get(`${path}?format=aggregatedValues&options=temporalValues`), 400, 'BadRequestData');
    for (const lastN of ['1', 1.5, 0])
        assertError(await ld.post('/temporal/entityOperations/query', { type: 'Query', entities: [{ type: 'Vehicle' }], temporalQ: { timerel: 'after', timeAt: at(0), lastN } }), 400, 'BadRequestData');
    assertError(await ld.get(`${path}?datasetId=none`), 400, 'BadRequestData');
    assertError(await ld.delete(`${path}/attrs/speed?datasetId=none`), 400, 'BadRequestData');
});

test('what there is no evolution of', async () => {
    assertError(await ld.get('/temporal/entities/urn:x:none'), 404, 'ResourceNotFound');
    assertError(await ld.get('/temporal/entities/nouri'), 400, 'BadRequestData');
    assertError(await ld.get(`${path}?type=Bus`), 404, 'ResourceNotFound');
    assertError(await ld.get(`${path}?nothing=1`), 400, 'InvalidRequest');
});

test('attrs, pick, omit', async () => {
    const keys = async (query) => Object.keys((await ld.get(`${path}?${query}`)).json).sort();
    assert.deepEqual(await keys('attrs=plate'), ['id', 'plate', 'scope', 'type']);
    assert.deepEqual(await keys('pick=id,speed'), ['id', 'speed']);
    assert.deepEqual(await keys('pick=speed'), ['speed']);
    assert.deepEqual(await keys('pick=id,type'), ['id', 'type']);
    assert.deepEqual(await keys('omit=speed,scope'), ['id', 'plate', 'type']);
});

test('more than fits: 206 and where to go on', async () => {
    const id = 'urn:ngsi-ld:Car:long', many = Array.from({ length: 120 }, (_, i) => ({ type: 'Property', value: i, observedAt: at(i) }));
    assert.equal((await ld.post('/temporal/entities', { id, type: 'Long', speed: many })).status, 201);
    const got = [];
    let query = `timerel=after&timeAt=${at(0)}`;
    for (let i = 0; i < 4; i++) {
        const res = await ld.get(`/temporal/entities/${id}?attrs=speed&options=temporalValues&${query}`);
        got.push(...res.json.speed.values.map((v) => v[0]));
        if (res.status === 200) break;
        assert.equal(res.status, 206);
        const [, from, to] = /^date-time (\S+Z)-(\S+Z)\/\*$/.exec(res.headers.get('content-range'));
        assert.ok(Date.parse(from) < Date.parse(to));
        query = `timerel=after&timeAt=${new Date(Date.parse(to) + 1).toISOString()}`;
    }
    assert.deepEqual(got, many.map((m) => m.value));
    const last = await ld.get(`/temporal/entities/${id}?lastN=60`);
    assert.equal(last.status, 206);
    assert.match(last.headers.get('content-range'), /\/60$/);
    assert.equal(last.json.speed.at(-1).value, 119);
    assert.equal((await ld.get(`/temporal/entities/${id}?lastN=5`)).status, 200);
});

test('deleted attributes and entities keep their evolution', async () => {
    const id = 'urn:ngsi-ld:Car:gone';
    await ld.create({ id, type: 'Gone', speed: { value: 1, observedAt: at(0) } });
    await ld.delete(`/entities/${id}/attrs/speed`);
    const deleted = (await ld.get(`/temporal/entities/${id}?timeproperty=deletedAt&timerel=after&timeAt=${at(0)}`)).json.speed;
    assert.equal(deleted.length, 1);
    assert.equal(deleted[0].value, 'urn:ngsi-ld:null');
    assert.match(deleted[0].deletedAt, /Z$/);
    await ld.delete(`/entities/${id}`);
    assert.equal((await ld.get(`/entities/${id}`)).status, 404);
    const after = (await ld.get(`/temporal/entities/${id}?${range(0, 5)}`)).json;
    assert.equal(after.type, 'Gone');
    assert.equal(after.speed[0].value, 1);
    assert.deepEqual(ids(await ld.get(`/temporal/entities?type=Gone&${range(0, 5)}`)), [id]);
});

test('query: type, q and geo are about the range', async () => {
    const mk = (name, speeds, more = {}) => ld.post('/temporal/entities', { id: `urn:ngsi-ld:V:${name}`, type: 'V', speed: speeds.map(([value, minute, datasetId]) => ({ type: 'Property', value, observedAt: at(minute), ...(datasetId ? { datasetId } : {}) })), ...more });
    const place = (lon, minute) => ({ type: 'GeoProperty', value: { type: 'Point', coordinates: [lon, 48] }, observedAt: at(minute) });
    assert.equal((await mk('fast', [[30, 1], [90, 100]], { location: [place(17, 1), place(10, 100)] })).status, 201);
    await mk('slow', [[10, 1], [80, 100]], { location: [place(10, 1), place(17, 100)] });
    await mk('multi', [[5, 1], [60, 1, 'urn:d:1']]);
    await mk('out', [[99, 100]]);
    const ask = async (more) => ids(await ld.get(`/temporal/entities?type=V&${range(0, 10)}${more}`)).map((id) => id.split(':').pop());
    assert.deepEqual(await ask(''), ['fast', 'slow', 'multi']);
    assert.deepEqual(await ask(`&q=${encodeURIComponent('speed>25')}`), ['fast', 'multi']);
    assert.deepEqual(await ask(`&q=${encodeURIComponent('speed>50')}`), ['multi']);
    assert.deepEqual(await ask('&q=heading'), []);
    assert.deepEqual(await ask('&georel=near%3BmaxDistance%3D%3D1000&geometry=Point&coordinates=%5B17,48%5D'), ['fast']);
    assert.deepEqual(await ask('&limit=1&offset=1'), ['slow']);
    const counted = await ld.get(`/temporal/entities?type=V&${range(0, 10)}&limit=1&count=true`);
    assert.equal(counted.headers.get('ngsild-results-count'), '3');
    const next = /<([^>]*)>; rel="next"/.exec(counted.headers.get('link'))[1];
    assert.deepEqual(ids(await ld.city.get(next)), ['urn:ngsi-ld:V:slow']);
    const posted = await ld.post('/temporal/entityOperations/query?options=temporalValues', { type: 'Query', entities: [{ type: 'V' }], q: 'speed>50', temporalQ: { timerel: 'between', timeAt: at(0), endTimeAt: at(10) } });
    assert.equal(posted.status, 200, posted.text);
    assert.deepEqual(posted.json[0].speed, [{ type: 'Property', values: [[5, at(1)]] }, { type: 'Property', datasetId: 'urn:d:1', values: [[60, at(1)]] }]);
});

test('query: a range and a selection are needed', async () => {
    assertError(await ld.get('/temporal/entities?type=V'), 400, 'BadRequestData');
    assertError(await ld.get(`/temporal/entities?${range(0, 1)}`), 400, 'BadRequestData');
    assertError(await ld.post('/temporal/entityOperations/query', { type: 'Query', entities: [{ type: 'V' }] }), 400, 'BadRequestData');
});

test('writing evolution: create, add, delete', async () => {
    const id = 'urn:ngsi-ld:Car:made', mine = `/temporal/entities/${id}`;
    const body = { id, type: 'Made', speed: [{ type: 'Property', value: 1, observedAt: at(1) }, { type: 'Property', value: 2, observedAt: at(2) }], fuel: { type: 'Property', value: 50, observedAt: at(1) } };
    const first = await ld.post('/temporal/entities', body);
    assert.equal(first.status, 201);
    assert.equal(first.headers.get('location'), `/ngsi-ld/v1${mine}`);
    assert.equal((await ld.post('/temporal/entities', { id, type: 'Made', speed: { type: 'Property', value: 3, observedAt: at(3) } })).status, 204);
    assert.equal((await ld.post(`${mine}/attrs`, { speed: [{ value: 4, observedAt: at(4) }] })).status, 204);
    const { json } = await ld.get(mine);
    assert.deepEqual(json.speed.map((s) => s.value), [1, 2, 3, 4]);
    assert.equal(json.type, 'Made');
    assert.equal((await ld.get(`/entities/${id}`)).status, 404, 'the current state is another matter');
    assertError(await ld.post('/temporal/entities/urn:x:none/attrs', { a: { value: 1 } }), 404, 'ResourceNotFound');
    assertError(await ld.post(`${mine}/attrs`, {}), 400, 'BadRequestData');
    assertError(await ld.post('/temporal/entities', { id, type: 'Made', speed: [{ type: 'Property' }] }), 400, 'BadRequestData');
    assert.equal((await ld.delete(`${mine}/attrs/fuel`)).status, 204);
    assertError(await ld.delete(`${mine}/attrs/fuel`), 404, 'ResourceNotFound');
    assert.ok(!('fuel' in (await ld.get(mine)).json));
    assert.equal((await ld.delete(mine)).status, 204);
    assertError(await ld.get(mine), 404, 'ResourceNotFound');
    assertError(await ld.delete(mine), 404, 'ResourceNotFound');
});

test('single instances: change and delete', async () => {
    const id = 'urn:ngsi-ld:Car:inst', mine = `/temporal/entities/${id}`;
    await ld.post('/temporal/entities', { id, type: 'Inst', speed: [{ value: 1, observedAt: at(1) }, { value: 2, observedAt: at(2) }, { value: 3, observedAt: at(2), datasetId: 'urn:d:1' }] });
    const before = (await ld.get(`${mine}?options=sysAttrs`)).json.speed;
    const second = before.find((s) => s.value === 2), set = before.find((s) => s.value === 3);
    assert.equal((await ld.patch(`${mine}/attrs/speed/${second.instanceId}`, { speed: [{ type: 'Property', value: 22, observedAt: at(2) }] })).status, 204);
    assert.equal((await ld.patch(`${mine}/attrs/speed/${set.instanceId}`, { type: 'Property', value: 33, observedAt: at(2) })).status, 204);
    const after = (await ld.get(`${mine}?options=sysAttrs`)).json.speed;
    assert.deepEqual(after.map((s) => s.value).sort(), [1, 22, 33]);
    const changed = after.find((s) => s.value === 22);
    assert.equal(changed.instanceId, second.instanceId);
    assert.equal(changed.createdAt, second.createdAt);
    assert.ok(changed.modifiedAt >= second.modifiedAt);
    assert.equal(after.find((s) => s.value === 33).datasetId, 'urn:d:1');
    assert.equal((await ld.delete(`${mine}/attrs/speed/${set.instanceId}`)).status, 204);
    assert.equal((await ld.get(mine)).json.speed.length, 2);
    assertError(await ld.delete(`${mine}/attrs/speed/${set.instanceId}`), 404, 'ResourceNotFound');
    assertError(await ld.delete(`${mine}/attrs/speed/urn:x:1`), 404, 'ResourceNotFound');
    assertError(await ld.delete(`${mine}/attrs/speed/17`), 400, 'BadRequestData');
});

test('nothing of what was named: 404', async () => {
    const id = await ld.create({ id: 'urn:ngsi-ld:Named:1', type: 'Named', a: { type: 'Property', value: 1, observedAt: at(0) } });
    for (const query of ['attrs=unknown', 'pick=unknown', 'omit=id,type,a'])
        assertError(await ld.get(`/temporal/entities/${id}?${query}`), 404, 'ResourceNotFound');
    const later = await ld.get(`/temporal/entities/${id}?attrs=a&timerel=after&timeAt=2100-01-01T00:00:00Z`);
    assert.equal(later.status, 200, 'nothing in a range of time is an answer');
    assert.deepEqual(later.json, { id, type: 'Named' });
});

test('deletions say what kind was deleted, as instances and as pairs', async () => {
    const kinds = {
        p: [{ type: 'Property', value: 1 }, { value: 'urn:ngsi-ld:null' }, 'values', 'urn:ngsi-ld:null'],
        r: [{ type: 'Relationship', object: 'urn:x:1' }, { object: 'urn:ngsi-ld:null' }, 'objects', 'urn:ngsi-ld:null'],
        l: [{ type: 'LanguageProperty', languageMap: { ja: 'x' } }, { languageMap: { '@none': 'urn:ngsi-ld:null' } }, 'languageMaps', { languageMap: { '@none': 'urn:ngsi-ld:null' } }],
        v: [{ type: 'VocabProperty', vocab: 'x' }, { vocab: 'urn:ngsi-ld:null' }, 'vocabs', { vocab: 'urn:ngsi-ld:null' }],
        s: [{ type: 'ListProperty', valueList: [1] }, { valueList: ['urn:ngsi-ld:null'] }, 'valueLists', ['urn:ngsi-ld:null']],
    };
    const id = await ld.create({ id: 'urn:ngsi-ld:Deleted:1', type: 'Deleted', ...Object.fromEntries(Object.entries(kinds).map(([name, [instance]]) => [name, instance])) });
    for (const name of Object.keys(kinds))
        assert.equal((await ld.delete(`/entities/${id}/attrs/${name}`)).status, 204);
    const instances = (await ld.get(`/temporal/entities/${id}?timeproperty=deletedAt`)).json;
    const pairs = (await ld.get(`/temporal/entities/${id}?timeproperty=deletedAt&options=temporalValues`)).json;
    for (const [name, [{ type }, member, list, value]] of Object.entries(kinds)) {
        const [{ deletedAt, instanceId, ...rest }] = instances[name];
        assert.ok(deletedAt && instanceId);
        assert.deepEqual(rest, { type, ...member });
        assert.deepEqual(pairs[name], { type, [list]: [[value, deletedAt]] });
    }
});

test('times of periods have no fraction that is zero', async () => {
    const id = await ld.create({ id: 'urn:ngsi-ld:Whole:1', type: 'Whole', a: { type: 'Property', value: 1, observedAt: '2026-01-01T00:00:00Z' } });
    const res = await ld.get(`/temporal/entities/${id}?options=aggregatedValues&aggrMethods=max&aggrPeriodDuration=PT1H`);
    assert.deepEqual(res.json.a.max, [[1, '2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z']]);
});

test('ranges by observedAt leave out what has none (clause 4.11)', async () => {
    const id = await ld.create({ id: 'urn:ngsi-ld:Unseen:1', type: 'Unseen', a: { type: 'Property', value: 1 }, b: { type: 'Property', value: 2, observedAt: at(0) } });
    const get = async (query) => (await ld.get(`/temporal/entities/${id}?options=temporalValues&${query}`)).json;
    const since = 'timerel=after&timeAt=2000-01-01T00:00:00Z';
    assert.deepEqual(Object.keys(await get(since)), ['id', 'type', 'b']);
    assert.deepEqual(Object.keys(await get(`${since}&lastN=3`)), ['id', 'type', 'b']);
    assert.deepEqual(Object.keys(await get(`${since}&timeproperty=modifiedAt`)), ['id', 'type', 'a', 'b']);
    assert.deepEqual(Object.keys(await get('lastN=1')), ['id', 'type', 'a', 'b'], 'without a range all of it');
    const q = (name, more = '') => ld.get(`/temporal/entities?type=Unseen&${since}&q=${name}${more}`);
    assert.deepEqual(ids(await q('a')), []);
    assert.deepEqual(ids(await q('b')), [id]);
    assert.deepEqual(ids(await q('a', '&timeproperty=modifiedAt')), [id]);
});

test('aggregates: a range with two ends tells of empty periods too', async () => {
    const id = 'urn:ngsi-ld:Sparse:1';
    await ld.post('/temporal/entities', { id, type: 'Sparse', a: [[4, 7], [6, 8], [5, 27]].map(([value, minute]) => ({ type: 'Property', value, observedAt: at(minute) })) });
    const get = async (query) => (await ld.get(`/temporal/entities/${id}?options=aggregatedValues&aggrPeriodDuration=PT10M&${query}`)).json.a;
    const a = await get(`aggrMethods=totalCount,distinctCount,sum,sumsq,avg,min,max,stddev&${range(-10, 35)}`);
    assert.deepEqual(a.totalCount.map((x) => x[0]), [0, 2, 0, 1, 0]);
    assert.deepEqual(a.totalCount.map((x) => x[2]), [at(0), at(10), at(20), at(30), at(35)]);
    assert.deepEqual(a.distinctCount.map((x) => x[0]), [0, 2, 0, 1, 0]);
    assert.deepEqual(a.sum.map((x) => x[0]), [0, 10, 0, 5, 0]);
    assert.deepEqual(a.sumsq.map((x) => x[0]), [0, 52, 0, 25, 0]);
    for (const method of ['avg', 'min', 'max', 'stddev'])
        assert.equal(a[method].length, 2, 'of nothing there is none');
    assert.deepEqual((await get(`aggrMethods=totalCount&timerel=after&timeAt=${at(-10)}`)).totalCount.map((x) => x[0]), [2, 1], 'an open range does not');
    assert.deepEqual((await get(`aggrMethods=sum&${range(100, 140)}`)) ?? [], []);
    const unsaid = (more) => ld.post('/temporal/entityOperations/query', { type: 'Query', entities: [{ type: 'Sparse' }], temporalQ: { timerel: 'after', timeAt: at(0) }, ...more });
    assert.deepEqual(Object.keys((await unsaid({ aggrParams: { aggrMethods: ['max'], aggrPeriodDuration: 'PT10M' } })).json[0].a), ['type', 'max'], 'aggrParams ask for aggregates');
    assertError(await unsaid({ aggrParams: { aggrMethods: ['median'] } }), 400, 'BadRequestData');
    assertError(await unsaid({ aggrParams: { aggrMethods: ['max'], aggrPeriodDuration: '10 minutes' } }), 400, 'BadRequestData');
    const posted = await ld.post('/temporal/entityOperations/query?options=aggregatedValues', { type: 'Query', entities: [{ type: 'Sparse' }], temporalQ: { timerel: 'after', timeAt: at(0) }, aggrParams: { aggrMethods: ['max', 'min'], aggrPeriodDuration: 'PT10M' } });
    assert.deepEqual(posted.json[0].a.max.map((x) => x[0]), [6, 5]);
});

test('Content-Range: from what was asked to what was found (clause 6.3.10)', async () => {
    const id = 'urn:ngsi-ld:Ranged:1';
    await ld.post('/temporal/entities', { id, type: 'Ranged', a: Array.from({ length: 80 }, (_, i) => ({ type: 'Property', value: i, observedAt: at(10 + i) })) });
    const header = async (query) => {
        const res = await ld.get(`/temporal/entities/${id}?${query}`);
        assert.equal(res.status, 206, res.text);
        return res.headers.get('content-range');
    };
    assert.equal(await header(`timerel=after&timeAt=${at(0)}`), `date-time ${at(0)}-${at(59)}/*`);
    assert.equal(await header(range(0, 100)), `date-time ${at(0)}-${at(59)}/*`);
    assert.equal(await header(`timerel=before&timeAt=${at(100)}`), `date-time ${at(10)}-${at(59)}/*`);
    assert.equal(await header(`timerel=after&timeAt=${at(0)}&lastN=60`), `date-time ${at(89)}-${at(40)}/60`);
    assert.equal(await header(`${range(0, 200)}&lastN=60`), `date-time ${at(200)}-${at(40)}/60`);
    assert.equal(await header(`timerel=before&timeAt=${at(200)}&lastN=60`), `date-time ${at(200)}-${at(40)}/60`);
    assert.equal(await header('lastN=60'), `date-time ${at(89)}-${at(40)}/60`);
});

test('evolution that is written: scopes and more types (clauses 4.18, 5.6.11, 5.6.12)', async () => {
    const id = 'urn:ngsi-ld:Scoped:1', mine = `/temporal/entities/${id}`, a = { type: 'Property', value: 1, observedAt: at(1) };
    const scope = [{ type: 'Property', value: '/x/y', observedAt: at(1) }, { type: 'Property', value: ['/x', 'z'], observedAt: at(2) }];
    assert.equal((await ld.post('/temporal/entities', { id, type: 'Scoped', scope, a })).status, 201);
    assert.equal((await ld.post('/temporal/entities', { id, type: 'Extra', a: { ...a, observedAt: at(3) } })).status, 204);
    const { json } = await ld.get(mine);
    assert.deepEqual(json.type, ['Scoped', 'Extra']);
    assert.deepEqual(json.scope.map((s) => [s.value, s.observedAt]), [['/x/y', at(1)], [['/x', '/z'], at(2)]]);
    assert.deepEqual((await ld.get(`${mine}?options=temporalValues`)).json.scope.values, [['/x/y', at(1)], [['/x', '/z'], at(2)]]);
    assert.ok(!('scope' in (await ld.get(`${mine}?omit=scope`)).json));
    assert.equal((await ld.post('/temporal/entities', { id: 'urn:ngsi-ld:Scoped:2', type: 'Scoped', scope: 'Madrid', a })).status, 201);
    assert.equal((await ld.get('/temporal/entities/urn:ngsi-ld:Scoped:2')).json.scope[0].value, '/Madrid');
    for (const wrong of [7, '/a//b', [{ type: 'Property' }], [{ value: '/a', observedAt: 'now' }]])
        assertError(await ld.post('/temporal/entities', { id: 'urn:ngsi-ld:Scoped:3', type: 'Scoped', scope: wrong, a }), 400, 'BadRequestData');
});

// What two attributes have in turn: 60 rows of a, then 60 rows of b.
const turns = (id, type, from) => ld.post('/temporal/entities', {
    id, type, a: Array.from({ length: 60 }, (_, i) => ({ type: 'Property', value: i, observedAt: at(from + i) })),
    b: Array.from({ length: 60 }, (_, i) => ({ type: 'Relationship', object: `urn:x:${i}`, observedAt: at(from + 100 + i) })),
});

test('206: an attribute of which nothing is in the part is there without instances (clause 6.3.10)', async () => {
    const id = 'urn:ngsi-ld:Turns:1';
    assert.equal((await turns(id, 'Turns', 0)).status, 201);
    const get = async (query) => {
        const res = await ld.get(`/temporal/entities/${id}?${query}`);
        assert.equal(res.status, 206, res.text);
        return res;
    };
    const first = await get(`timerel=after&timeAt=${at(0)}`);
    assert.equal(first.json.a.length, 50);
    assert.deepEqual(first.json.b, []);
    assert.equal(first.headers.get('content-range'), `date-time ${at(0)}-${at(49)}/*`);
    const last = await get(`timerel=before&timeAt=${at(300)}&lastN=100`);
    assert.deepEqual(last.json.a, []);
    assert.deepEqual([last.json.b.length, last.json.b.at(-1).object], [50, 'urn:x:59']);
    assert.equal(last.headers.get('content-range'), `date-time ${at(300)}-${at(110)}/100`);
    const values = await get(`timerel=after&timeAt=${at(0)}&options=temporalValues`);
    assert.equal(values.json.a.values.length, 50);
    assert.deepEqual(values.json.b, { type: 'Relationship', objects: [] });
    const rest = await ld.get(`/temporal/entities/${id}?timerel=after&timeAt=${at(105)}`);
    assert.equal(rest.status, 206, 'more than 50 of b');
    assert.ok(!('a' in rest.json), 'nothing in the range: not there');
});

test('206 of several entities: all are cut at the same instant (clause 6.3.10)', async () => {
    assert.equal((await turns('urn:ngsi-ld:Pair:1', 'Pair', 0)).status, 201);
    assert.equal((await turns('urn:ngsi-ld:Pair:2', 'Pair', 20)).status, 201);
    await ld.post('/temporal/entities', { id: 'urn:ngsi-ld:Pair:3', type: 'Pair', a: [{ type: 'Property', value: 7, observedAt: at(90) }] });
    const first = await ld.get(`/temporal/entities?type=Pair&timerel=after&timeAt=${at(0)}`);
    assert.equal(first.status, 206, first.text);
    assert.equal(first.headers.get('content-range'), `date-time ${at(0)}-${at(49)}/*`);
    const [one, two, three] = first.json.sort((x, y) => (x.id < y.id ? -1 : 1));
    assert.equal(one.a.at(-1).observedAt, at(49));
    assert.equal(two.a.at(-1).observedAt, at(49), 'not as much as would fit of this one');
    assert.deepEqual([two.b, three.a], [[], []]);
    const last = await ld.get(`/temporal/entities?type=Pair&timerel=before&timeAt=${at(300)}&lastN=100`);
    assert.equal(last.status, 206);
    assert.equal(last.headers.get('content-range'), `date-time ${at(300)}-${at(130)}/100`);
    const b = Object.fromEntries(last.json.map((x) => [x.id.at(-1), x.b?.length]));
    assert.deepEqual([b[1], b[2]], [30, 50]);
});

test('aggregates of relationships; methods that an attribute is not eligible for (clauses 4.5.19, 5.7.4.4)', async () => {
    const id = 'urn:ngsi-ld:Fit:1', observedAt = at(1);
    await ld.create({ id, type: 'Fit', rel: { type: 'Relationship', object: 'urn:x:1', observedAt }, n: { value: 4, observedAt }, s: { value: 'x', observedAt }, o: { value: { a: 1 }, observedAt } });
    const get = (query) => ld.get(`/temporal/entities/${id}?options=aggregatedValues&${query}`);
    const { json } = await get('aggrMethods=totalCount,distinctCount&attrs=rel');
    assert.equal(json.rel.type, 'Relationship');
    assert.deepEqual([json.rel.totalCount[0][0], json.rel.distinctCount[0][0]], [1, 1]);
    for (const wrong of ['aggrMethods=avg&attrs=rel', 'aggrMethods=totalCount,sum&attrs=s', 'aggrMethods=min&pick=o', 'aggrMethods=max&attrs=n,rel'])
        assertError(await get(wrong), 400, 'InvalidRequest');
    assertError(await ld.get(`/temporal/entities?type=Fit&timerel=after&timeAt=${at(0)}&options=aggregatedValues&aggrMethods=avg&attrs=s`), 400, 'InvalidRequest');
    assert.deepEqual((await get('aggrMethods=min&attrs=s')).json.s.min[0][0], 'x');
    assert.deepEqual((await get('aggrMethods=avg&attrs=n')).json.n.avg[0][0], 4);
    assert.equal((await get('aggrMethods=avg')).status, 200, 'nobody asked for rel and s by name');
});

test('temporal queries in order: by id, of what is here (clauses 4.23, 5.7.4.4)', async () => {
    for (const n of ['b', 'd', 'a', 'c'])
        await ld.create({ id: `urn:ngsi-ld:Row:${n}`, type: 'Row', v: { value: 1, observedAt: at(1) } });
    await ld.delete('/entities/urn:ngsi-ld:Row:c');
    const get = (query) => ld.get(`/temporal/entities?type=Row&timerel=after&timeAt=${at(0)}&local=true&${query}`);
    const order = async (query) => (await get(query)).json.map((x) => x.id.at(-1)).join('');
    assert.equal(await order('orderBy=id'), 'abcd', 'with what was deleted');
    assert.equal(await order('orderBy=id;desc'), 'dcba');
    assert.equal(await order('orderBy=id&limit=2&offset=1'), 'bc');
    const paged = await get('orderBy=id&limit=2&count=true');
    assert.equal(paged.headers.get('ngsild-results-count'), '4');
    assert.match(paged.headers.get('link'), /offset=2/);
    const body = { type: 'Query', entities: [{ type: 'Row' }], temporalQ: { timerel: 'after', timeAt: at(0) }, ordering: { orderBy: ['id;desc'] } };
    const posted = await ld.post('/temporal/entityOperations/query?local=true', body);
    assert.deepEqual(posted.json?.map((x) => x.id.at(-1)), ['d', 'c', 'b', 'a'], posted.text);
    for (const wrong of ['orderBy=type', 'orderBy=v', 'orderBy=id,type', 'orderBy=id&collation=x;;', 'local=false&orderBy=id'])
        assertError(await ld.get(`/temporal/entities?type=Row&timerel=after&timeAt=${at(0)}&${wrong.includes('local') ? wrong : `local=true&${wrong}`}`), 400, 'BadRequestData');
    assertError(await ld.get(`/temporal/entities?type=Row&timerel=after&timeAt=${at(0)}&orderBy=id`), 400, 'BadRequestData');
});

await run(() => ld.city.stop());
