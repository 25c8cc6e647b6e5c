#!/usr/bin/env node
// Geo-queries over HTTP: every relation, other properties, errors.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, ids, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
const place = (name, geometry, more = {}) => ({ id: `urn:ngsi-ld:Place:${name}`, type: 'Place', location: { type: 'GeoProperty', value: geometry }, ...more });
const point = (lon, lat) => ({ type: 'Point', coordinates: [lon, lat] });
const square = (w, s, e, n) => ({ type: 'Polygon', coordinates: [[[w, s], [e, s], [e, n], [w, n], [w, s]]] });
await ld.post('/entityOperations/create', [
    place('station', point(140.1107, 36.0826)), place('hall', point(140.0765, 36.0835)), place('tokyo', point(139.7671, 35.6812)),
    place('park', square(140.10, 36.07, 140.12, 36.09)),
    place('road', { type: 'LineString', coordinates: [[140.0, 36.08], [140.2, 36.08]] }),
    place('moved', point(0, 0), { entrance: { type: 'GeoProperty', value: point(140.1107, 36.0826) } }),
    { id: 'urn:ngsi-ld:Place:nowhere', type: 'Place' },
]);
const ask = (georel, geometry, coordinates, more = '') =>
    ld.get(`/entities?type=Place&georel=${encodeURIComponent(georel)}&geometry=${geometry}&coordinates=${encodeURIComponent(JSON.stringify(coordinates))}${more}`);
const names = async (...args) => ids(await ask(...args)).map((id) => id.split(':').pop()).sort();
const here = [140.1107, 36.0826];
const area = square(140.05, 36.05, 140.15, 36.10).coordinates;

test('near: at most and at least so many metres', async () => {
    assert.deepEqual(await names('near;maxDistance==100', 'Point', here), ['park', 'station']);
    assert.deepEqual(await names('near;maxDistance==4000', 'Point', here), ['hall', 'park', 'road', 'station']);
    assert.deepEqual(await names('near;minDistance==10000', 'Point', here), ['moved', 'tokyo']);
});

test('within, contains, intersects', async () => {
    assert.deepEqual(await names('within', 'Polygon', area), ['hall', 'park', 'station']);
    assert.deepEqual(await names('contains', 'Point', here), ['park', 'station']);
    assert.deepEqual(await names('intersects', 'Polygon', area), ['hall', 'park', 'road', 'station']);
});

test('equals, disjoint, overlaps', async () => {
    assert.deepEqual(await names('equals', 'Point', here), ['station']);
    assert.deepEqual(await names('disjoint', 'Polygon', area), ['moved', 'tokyo']);
    assert.deepEqual(await names('overlaps', 'Polygon', square(140.11, 36.08, 140.2, 36.2).coordinates), ['park']);
});

test('another property', async () => {
    assert.deepEqual(await names('near;maxDistance==100', 'Point', here, '&geoproperty=entrance'), ['moved']);
});

test('with q and count', async () => {
    const res = await ask('near;maxDistance==4000', 'Point', here, '&count=true&limit=2');
    assert.equal(res.headers.get('ngsild-results-count'), '4');
    assert.equal(res.json.length, 2);
});

test('in the body of a query', async () => {
    const res = await ld.post('/entityOperations/query', { type: 'Query', entities: [{ type: 'Place' }], geoQ: { georel: 'near;maxDistance==100', geometry: 'Point', coordinates: here } });
    assert.equal(res.json.length, 2);
});

test('the geometry of a Feature may be another property', async () => {
    const res = await ld.get('/entities/urn:ngsi-ld:Place:moved?geometryProperty=entrance', { Accept: 'application/geo+json' });
    assert.deepEqual(res.json.geometry, point(...here));
});

test('what is no geo-query', async () => {
    for (const [georel, geometry, coordinates] of [['near', 'Point', here], ['near;maxDistance==-1', 'Point', here], ['near;maxDistance==x', 'Point', here],
        ['beside', 'Point', here], ['within', 'Blob', here], ['within', 'Polygon', here], ['within', 'Point', [200, 0]], ['within', 'Point', []], ['within', 'Polygon', [[[0, 0], [1, 1], [0, 0]]]]])
        assertError(await ask(georel, geometry, coordinates), 400, 'BadRequestData');
    assertError(await ld.get('/entities?type=Place&georel=within'), 400, 'BadRequestData');
    assertError(await ld.get('/entities?type=Place&georel=within&geometry=Point&coordinates=here'), 400, 'BadRequestData');
});

test('geometries that are none are not stored', async () => {
    for (const value of [{ type: 'Point', coordinates: [200, 95] }, { type: 'Polygon', coordinates: [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]] }, 'here'])
        assertError(await ld.post('/entities', { id: 'urn:x:bad', type: 'Place', location: { type: 'GeoProperty', value } }), 400, 'BadRequestData');
});

await run(() => ld.city.stop());
