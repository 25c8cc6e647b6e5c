// ngsi.mjs - what the tests of the NGSI-LD interface share.
import assert from 'node:assert/strict';
import { startCity } from './city.mjs';

export const base = '/ngsi-ld/v1';
export const errors = 'https://uri.etsi.org/ngsi-ld/errors/';
export const coreContext = 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context';

// A server with short names: ld.get('/entities/x'), ld.post('/entities', {...}, { type, headers }).
export async function startLd(options) {
    const city = await startCity(options);
    const ld = { city };
    for (const method of ['get', 'post', 'patch', 'put', 'delete'])
        ld[method] = (path, ...rest) => city[method](base + path, ...rest);
    ld.request = (method, path, options2) => city.request(method, base + path, options2);
    ld.create = async (entity, options2) => {
        const res = await ld.post('/entities', entity, options2);
        assert.equal(res.status, 201, res.text);
        return entity.id;
    };
    ld.read = async (id, query = '') => {
        const res = await ld.get(`/entities/${encodeURIComponent(id)}${query}`);
        assert.equal(res.status, 200, res.text);
        return res.json;
    };
    return ld;
}

// An error in the specification's form.
export function assertError(res, status, type) {
    assert.equal(res.status, status, res.text);
    assert.match(res.headers.get('content-type'), /^application\/json/);
    assert.equal(res.json.type, type.includes(':') ? type : errors + type, res.text);
    assert.ok(res.json.title, 'an error has a title');
    assert.equal(res.json.status, status);
}

export const ids = (res) => {
    assert.equal(res.status, 200, res.text);
    return res.json.map((e) => e.id);
};

export const contextLink = (url) =>
    ({ Link: `<${url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"` });
