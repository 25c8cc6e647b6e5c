#!/usr/bin/env node
// The portal over HTTP: pages, downloads, tiles and who may enter the console.
import assert from 'node:assert/strict';
import { VectorTile } from '@mapbox/vector-tile';
import PbfReader from 'pbf';
import { startCity, eventually } from '../lib/city.mjs';
import { run, test } from '../lib/tap.mjs';

const token = 'a-token-for-tests';
const city = await startCity({ args: [`--portal.console_token=${token}`] });
const html = { Accept: 'text/html' };
const remote = { ...html, 'X-Forwarded-For': '192.0.2.7' };

const property = (value) => ({ type: 'Property', value });
const point = (lon, lat) => ({ type: 'GeoProperty', value: { type: 'Point', coordinates: [lon, lat] } });
const entities = [];
for (let i = 0; i < 120; i++) entities.push({ id: `urn:ngsi-ld:AED:${i}`, type: 'AED', name: property(`AED ${i}`), location: point(140.05 + 0.0004 * i, 36.1), installationPosition: property(i % 2 ? '玄関' : '受付, "1階"') });
entities.push({ id: 'urn:ngsi-ld:Room:1', type: 'Room', name: property('=1+1'), onlyHere: property(7) });
entities.push({ id: 'urn:ngsi-ld:Park:1', type: 'Park', name: property('公園'), location: { type: 'GeoProperty', value: { type: 'Polygon', coordinates: [[[140, 36], [140.2, 36], [140.2, 36.2], [140, 36.2], [140, 36]], [[140.05, 36.05], [140.05, 36.1], [140.1, 36.1], [140.1, 36.05], [140.05, 36.05]]] } } });
entities.push({ id: 'urn:ngsi-ld:Path:1', type: 'Path', name: property('道'), location: { type: 'GeoProperty', value: { type: 'LineString', coordinates: [[139, 36.1], [141, 36.1]] } } });
assert.equal((await city.post('/ngsi-ld/v1/entityOperations/create', entities)).status, 201);

// --- pages ---

test('every page answers with its language, no cache without asking, and 304', async () => {
    for (const path of ['/ja', '/easy', '/zh/data', '/en/data/AED', '/ko/e/urn:ngsi-ld:AED:1', '/vi/map', '/pt/about']) {
        const page = await city.get(path, html);
        assert.equal(page.status, 200, path);
        assert.match(page.headers.get('content-type'), /^text\/html; charset=utf-8/);
        assert.equal(page.headers.get('cache-control'), 'no-cache');
        assert.ok(page.headers.get('content-language'));
        const again = await city.get(path, { ...html, 'If-None-Match': page.headers.get('etag'), Cookie: `lang=${path.split('/')[1]}` });
        assert.equal(again.status, 304, path);
    }
});

test('slashes behind the address of a page lead to it, in every language; nowhere else', async () => {
    const paths = ['', '/map', '/data', '/data/AED', '/e/urn:ngsi-ld:AED:1', '/about', '/now', '/console', '/console/import', '/console/nodes'];
    for (const lang of ['ja', 'easy', 'en', 'zh', 'ko', 'vi', 'pt'])
        for (const path of paths)
            for (const slashes of ['/', '//']) {
                const res = await city.get(`/${lang}${path}${slashes}?q=%E3%81%82&page=2`, html);
                assert.equal(res.status, 308, `/${lang}${path}${slashes}`);
                assert.equal(res.headers.get('location'), `/${lang}${path}?q=%E3%81%82&page=2`);
            }
    assert.equal((await city.request('HEAD', '/ja/', { headers: html })).status, 308);
    assert.equal((await city.request('HEAD', '/ja/map/', { headers: html })).headers.get('location'), '/ja/map');
    for (const path of ['//ja/', '/ja/nothing/', '//example.org/', '/ja//map/', '/metrics/', '/v2/entities/urn:x/'])
        assert.notEqual((await city.get(path, html)).status, 308, path);
    assert.equal((await city.post('/ja/console/import/', {})).status, 404);
});

test('what is not there is 404, for browsers a page, for programs a problem', async () => {
    for (const path of ['/xx', '/ja/nothing', '/ja/data/Nothing', '/ja/e/urn:none', '/ja/e/urn:none/panel', '/assets/..%2f..%2fpackage.json', '/assets/none.js', '/open/Nothing.csv']) {
        const page = await city.get(path, { ...html, 'Accept-Language': 'en' });
        assert.equal(page.status, 404, path);
        assert.match(page.text, /<html lang="(en|ja)">/);
        const problem = await city.get(path, { Accept: 'application/json' });
        assert.equal(problem.status, 404);
        assert.equal(problem.headers.get('content-type'), 'application/problem+json');
    }
});

test('a data set has pages of fifty and a search that folds widths', async () => {
    const rows = async (query) => ((await city.get(`/ja/data/AED${query}`, html)).text.match(/<tr><th scope="row">/g) ?? []).length;
    assert.equal(await rows(''), 50);
    assert.equal(await rows('?page=3'), 20);
    assert.equal(await rows('?page=4'), 0);
    assert.equal(await rows('?page=-1'), 50);
    assert.equal(await rows('?page=99999999999999999999'), 50);
    assert.equal(await rows(`?q=${encodeURIComponent('ＡＥＤ　１１９')}`), 1);
    assert.equal(await rows(`?q=${encodeURIComponent('受付')}&page=2`), 10);
    assert.equal(await rows('?q=zzz'), 0);
    assert.equal(await rows(`?q=${'%25'.repeat(3000)}`), 0);
});

// --- downloads ---

test('CSV: all attributes, spreadsheets cannot run a name as a formula', async () => {
    const csv = await city.get('/open/AED.csv');
    assert.equal(csv.status, 200);
    assert.equal(csv.headers.get('access-control-allow-origin'), '*');
    assert.match(csv.headers.get('content-disposition'), /filename="AED\.csv"/);
    const lines = csv.text.replace(/^\ufeff/, '').trim().split('\r\n');
    assert.equal(lines.length, 121);
    assert.equal(lines[0], 'id,name,installationPosition,latitude,longitude,modifiedAt');
    assert.match(lines[1], /^urn:ngsi-ld:AED:0,AED 0,"受付, ""1階""",36\.1000000,140\.0500000,/);
    assert.match((await city.get('/open/Room.csv')).text, /,'=1\+1,7,,,/);
});

test('JSON and GeoJSON hold every entity', async () => {
    const json = await city.get('/open/AED.json');
    assert.equal(json.json.length, 120);
    assert.equal(json.json[5].name, 'AED 5');
    const geojson = await city.get('/open/AED.geojson');
    assert.equal(geojson.headers.get('content-type'), 'application/geo+json');
    assert.equal(geojson.json.type, 'FeatureCollection');
    assert.equal(geojson.json.features.length, 120);
    assert.deepEqual(geojson.json.features[0].geometry, { type: 'Point', coordinates: [140.05, 36.1] });
});

// --- tiles, read by the decoder of those who made the format ---

const at = (lon, lat, z) => {
    const n = 2 ** z;
    const r = (lat * Math.PI) / 180;
    return [Math.floor(((lon + 180) / 360) * n), Math.floor(((1 - Math.asinh(Math.tan(r)) / Math.PI) / 2) * n)];
};
async function tile(layer, z, lon, lat) {
    const [x, y] = at(lon, lat, z);
    const res = await fetch(`${city.url}/tiles/${layer}/${z}/${x}/${y}.mvt`);
    assert.equal(res.status, 200);
    assert.equal(res.headers.get('content-type'), 'application/vnd.mapbox-vector-tile');
    const decoded = new VectorTile(new PbfReader(new Uint8Array(await res.arrayBuffer())));
    const found = decoded.layers[layer.includes(',') ? 'all' : layer];
    const features = found ? Array.from({ length: found.length }, (_, i) => found.feature(i)) : [];
    return { x, y, z, features, layer: found, etag: res.headers.get('etag') };
}

test('a tile holds each place where it is, with its properties', async () => {
    const t = await tile('AED', 16, 140.0652, 36.1);
    assert.equal(t.layer.version, 2);
    assert.equal(t.layer.extent, 4096);
    const one = t.features.find((f) => f.properties.id === 'urn:ngsi-ld:AED:38');
    assert.deepEqual({ ...one.properties }, { id: 'urn:ngsi-ld:AED:38', type: 'AED', name: 'AED 38' });
    const [lon, lat] = one.toGeoJSON(t.x, t.y, t.z).geometry.coordinates;
    assert.ok(Math.abs(lon - 140.0652) < 1e-5 && Math.abs(lat - 36.1) < 1e-5);
});

test('far away places are drawn together, and none is lost', async () => {
    for (const z of [2, 6, 9]) {
        const t = await tile('AED', z, 140.07, 36.1);
        const n = t.features.reduce((sum, f) => sum + (f.properties.count ?? 1), 0);
        assert.equal(n, z < 9 ? 120 : n);
        assert.ok(t.features.length <= 64);
    }
    let n = 0;
    const [x, y] = at(140.05, 36.1, 13);
    for (let dx = 0; dx < 3; dx++) {
        const res = await fetch(`${city.url}/tiles/AED/13/${x + dx}/${y}.mvt`);
        const layer = new VectorTile(new PbfReader(new Uint8Array(await res.arrayBuffer()))).layers.AED;
        for (let i = 0; i < (layer?.length ?? 0); i++) n += layer.feature(i).properties.count ?? 1;
    }
    assert.equal(n, 120);
});

test('areas keep their holes, lines are cut at the border', async () => {
    const park = await tile('Park', 10, 140.1, 36.1);
    const shape = park.features[0].toGeoJSON(park.x, park.y, park.z).geometry;
    assert.equal(shape.type, 'Polygon');
    assert.equal(shape.coordinates.length, 2);
    const path = await tile('Path', 12, 140.1, 36.1);
    const line = path.features[0].loadGeometry()[0];
    assert.ok(line.every(({ x }) => x >= -64 && x <= 4160));
    assert.equal(line.length, 2);
    const inside = await tile('Park', 14, 140.15, 36.15);
    assert.equal(inside.features[0].loadGeometry().length, 1);
    const hole = await tile('Park', 16, 140.075, 36.075);
    assert.equal(hole.features.length, 0);
});

test('layers: one, several, all; unknown ones are empty', async () => {
    assert.deepEqual([...new Set((await tile('Park,Path', 10, 140.1, 36.1)).features.map((f) => f.properties.type))].sort(), ['Park', 'Path']);
    const all = await tile('all', 16, 140.0652, 36.1);
    assert.ok(all.features.some((f) => f.properties.type === 'AED'));
    assert.equal((await tile('Nothing', 10, 140.1, 36.1)).features.length, 0);
});

test('a tile is fetched again only when something on it changed', async () => {
    const [x, y] = at(140.0652, 36.1, 16);
    const path = `/tiles/AED/16/${x}/${y}.mvt`;
    const etag = (await city.get(path)).headers.get('etag');
    const again = async () => (await city.get(path, { 'If-None-Match': etag })).status;
    assert.equal(await again(), 304);
    assert.equal((await city.patch('/ngsi-ld/v1/entities/urn:ngsi-ld:AED:38/attrs', { installationPosition: property('階段') })).status, 204);
    assert.equal((await city.post('/ngsi-ld/v1/entities', { id: 'urn:ngsi-ld:Bench:1', type: 'Bench', location: point(140.0652, 36.1) })).status, 201);
    assert.equal(await again(), 304);
    assert.equal((await city.patch('/ngsi-ld/v1/entities/urn:ngsi-ld:AED:38/attrs', { name: property('新しい名前') })).status, 204);
    assert.equal(await again(), 200);
    assert.ok((await tile('AED', 16, 140.0652, 36.1)).features.some((f) => f.properties.name === '新しい名前'));
});

test('impossible tiles are refused', async () => {
    for (const path of ['/tiles/AED/0/1/0.mvt', '/tiles/AED/23/0/0.mvt', '/tiles/AED/99999999999/0/0.mvt', '/tiles/AED/5/-1/0.mvt', '/tiles/AED/5/1.mvt'])
        assert.equal((await city.get(path)).status, 404, path);
    for (const layer of ['A,,B', ',', encodeURIComponent('(A;B'), Array(41).fill('A').join(',')]) assert.equal((await city.get(`/tiles/${layer}/5/1/1.mvt`)).status, 400, layer);
});

// --- static files ---

test('scripts and styles: kept for ever, compressed, typed', async () => {
    const page = (await city.get('/en/map', html)).text;
    const urls = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, url]) => url);
    assert.ok(urls.length >= 4);
    for (const url of urls) {
        const file = await city.get(url, { 'Accept-Encoding': 'gzip' });
        assert.equal(file.status, 200, url);
        assert.equal(file.headers.get('cache-control'), 'public, max-age=31536000, immutable');
        assert.match(file.headers.get('content-type'), /^text\/(css|javascript)/);
        assert.equal((await city.get(url, { 'If-None-Match': file.headers.get('etag'), 'Accept-Encoding': 'gzip' })).status, 304);
    }
    assert.equal((await city.get('/manifest.webmanifest')).json.start_url, '/');
});

// --- the console's door ---

const consolePages = ['', '/import', '/import/1', '/import/1/progress', '/sources', '/subscriptions', '/subscriptions/urn:x:1', '/nodes', '/keys', '/policies'];

test('this machine may enter; others are led to the login, whatever header they invent', async () => {
    for (const page of consolePages.filter((path) => !path.includes('1'))) assert.equal((await city.get(`/en/console${page}`, html)).status, 200, page);
    const lies = [{ 'X-Forwarded-For': '127.0.0.1' }, { 'X-Forwarded-For': '192.0.2.7' }, { Forwarded: 'for=127.0.0.1' }, { 'X-Real-IP': '127.0.0.1' }, { Via: '1.1 proxy' }];
    for (const lie of lies)
        for (const page of consolePages) {
            const res = await city.get(`/en/console${page}`, { ...html, ...lie });
            assert.equal(res.status, 303, JSON.stringify(lie));
            assert.equal(res.headers.get('location'), '/en/console/login');
        }
});

// fetch() sets Host itself, so this goes by hand.
async function raw(text) {
    const { connect } = await import('node:net');
    return new Promise((done, fail) => {
        const socket = connect(city.port, '127.0.0.1', () => socket.end(text));
        let answer = '';
        socket.on('data', (data) => { answer += data; });
        socket.on('end', () => done(answer));
        socket.on('error', fail);
    });
}

test('a foreign name that leads to this machine (DNS rebinding) does not open the console', async () => {
    const answer = (host) => raw(`GET /en/console HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n`);
    assert.match(await answer('evil.example'), /^HTTP\/1\.1 303/);
    assert.match(await answer('127.evil.example'), /^HTTP\/1\.1 303/);
    assert.match(await answer('localhost:80'), /^HTTP\/1\.1 200/);
    assert.match(await answer('[::1]:80'), /^HTTP\/1\.1 200/);
});

const form = (fields) => new URLSearchParams(fields).toString();
const type = 'application/x-www-form-urlencoded';
const cookieOf = (res) => /console=([^;]+)/.exec(res.headers.getSetCookie().join('\n'))?.[1];

async function login(given) {
    return city.post('/en/console/login', form({ token: given }), { type, headers: remote });
}

test('the operator\'s token opens it, another one does not', async () => {
    const wrong = await login(`${token}x`);
    assert.equal(wrong.status, 403);
    assert.equal(cookieOf(wrong), undefined);
    const right = await login(token);
    assert.equal(right.status, 303);
    assert.match(right.headers.getSetCookie().find((line) => line.startsWith('console=')), /HttpOnly/);
    assert.match(right.headers.getSetCookie().find((line) => line.startsWith('console=')), /SameSite=Lax/);
    const cookie = cookieOf(right);
    const inside = await city.get('/en/console', { ...remote, Cookie: `console=${cookie}` });
    assert.equal(inside.status, 200);
    assert.equal(inside.headers.get('cache-control'), 'no-store');
    const tampered = [cookie.replace('staff.', 'staff.9'), cookie.slice(0, -1) + (cookie.endsWith('0') ? '1' : '0'), 'staff.99999999999.x.y', '', '....'];
    for (const bad of tampered) assert.equal((await city.get('/en/console', { ...remote, Cookie: `console=${bad}` })).status, 303, bad);
    const csrf = /name="csrf" value="([^"]+)"/.exec(inside.text)[1];
    const out = await city.post('/en/console/logout', form({ csrf }), { type, headers: { ...remote, Cookie: `console=${cookie}` } });
    assert.equal(out.status, 303);
    assert.match(out.headers.getSetCookie().join(), /console=;/);
});

test('a session of this machine is none elsewhere', async () => {
    const local = cookieOf(await city.get('/en/console', html));
    assert.match(local, /^local\./);
    assert.equal((await city.get('/en/console', { ...remote, Cookie: `console=${local}` })).status, 303);
});

function upload(fields, file) {
    const boundary = 'boundary-for-tests';
    const parts = Object.entries(fields).map(([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
    if (file !== undefined) parts.push(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n${file}\r\n`);
    return { body: `${parts.join('')}--${boundary}--\r\n`, type: `multipart/form-data; boundary=${boundary}` };
}

const csvFile = '名称,住所,緯度,経度,設置位置\r\n庁舎,中央1,36.08,140.11,玄関\r\n,中央2,36.09,140.12,受付\r\n';

test('a form without its token changes nothing', async () => {
    const page = await city.get('/en/console/import', html);
    const cookie = cookieOf(page);
    const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)[1];
    const other = /name="csrf" value="([^"]+)"/.exec((await city.get('/en/console/import', html)).text)[1];
    const send = (fields, sent) => {
        const { body, type: kind } = upload({ kind: 'aed', dataset: 'aed_forms', ...fields }, csvFile);
        return city.post('/en/console/import', body, { type: kind, headers: { ...html, ...(sent ? { Cookie: `console=${sent}` } : {}) } });
    };
    assert.equal((await send({}, cookie)).status, 403);
    assert.equal((await send({ csrf: '' }, cookie)).status, 403);
    assert.equal((await send({ csrf: other }, cookie)).status, 403);
    assert.equal((await send({ csrf }, undefined)).status, 403);
    assert.equal((await city.get('/open/AED.json')).json.length, 120);
    const started = await send({ csrf }, cookie);
    assert.equal(started.status, 303);
    const at2 = started.headers.get('location');
    const done = await eventually(async () => {
        const { json } = await city.get(`${at2}/progress`, { Cookie: `console=${cookie}` });
        return json?.state === 'done' && json;
    });
    assert.equal(done.state, 'done');
    const report = await city.get(at2, { ...html, Cookie: `console=${cookie}` });
    assert.match(report.text, /<dt>Rejected<\/dt><dd>1<\/dd>/);
    assert.equal((await city.get('/open/AED.json')).json.length, 121);
});

test('a broken upload is refused, an empty one explained', async () => {
    const page = await city.get('/en/console/import', html);
    const headers = { ...html, Cookie: `console=${cookieOf(page)}` };
    const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)[1];
    const empty = upload({ csrf }, '');
    assert.equal((await city.post('/en/console/import', empty.body, { type: empty.type, headers })).status, 422);
    assert.equal((await city.post('/en/console/import', 'nonsense', { type: 'multipart/form-data; boundary=x', headers })).status, 400);
    assert.equal((await city.post('/en/console/import', '{}', { headers })).status >= 400, true);
});

test('guessing the token is slowed down', async () => {
    let refused = 0;
    for (let i = 0; i < 15; i++) refused += (await login(`guess ${i}`)).status === 429;
    assert.ok(refused >= 5);
});

test('without a token configured nobody else can enter', async () => {
    const closed = await startCity();
    try {
        assert.equal((await closed.get('/en/console', remote)).status, 403);
        for (const given of ['', 'x']) assert.equal((await closed.post('/en/console/login', form({ token: given }), { type, headers: remote })).status, 403);
        assert.equal((await closed.get('/en/console', html)).status, 200);
    } finally {
        await closed.stop();
    }
});

await run(() => city.stop());
