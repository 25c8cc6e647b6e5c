// v2.mjs - what the tests of NGSIv2 share.
import assert from 'node:assert/strict';
import { startCity } from './city.mjs';

// A server with short names: v2.post('/entities', {...}, { headers }).
export async function startV2(options) {
    const city = await startCity(options);
    const v2 = { city };
    for (const method of ['get', 'post', 'patch', 'put', 'delete'])
        v2[method] = (path, ...rest) => city[method]('/v2' + path, ...rest);
    v2.create = async (entity, options2) => {
        const res = await v2.post('/entities', entity, options2);
        assert.equal(res.status, 201, res.text);
        return entity.id;
    };
    v2.read = async (id, query = '', headers = {}) => {
        const res = await v2.get(`/entities/${encodeURIComponent(id)}${query}`, headers);
        assert.equal(res.status, 200, res.text);
        return res.json;
    };
    v2.ld = (method, path, options2) => city.request(method, '/ngsi-ld/v1' + path, options2);
    return v2;
}

// An error in the specification's form.
export function assertError(res, status, error, description) {
    assert.equal(res.status, status, res.text);
    assert.match(res.headers.get('content-type'), /^application\/json/);
    assert.equal(res.json.error, error, res.text);
    assert.ok(res.json.description);
    if (description) assert.match(res.json.description, description);
}

export const ids = (res) => {
    assert.equal(res.status, 200, res.text);
    return res.json.map((e) => e.id);
};
