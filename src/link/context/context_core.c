/*
 * The terms of the core context of NGSI-LD 1.8, compiled in (clause 4.4 and annex B), and those of
 * 1.9 that stand in attributes: valueType, ngsildproof. Terms without an IRI here are named like
 * the last part of their IRI under LD_NGSI_PREFIX.
 */
#include "context_impl.h"

#include <pthread.h>
#include <string.h>

#define NGSI    "https://uri.etsi.org/ngsi-ld/"
#define GEOJSON "https://purl.org/geojson/vocab#"
#define TERMS   "http://purl.org/dc/terms/"

/* Same name as in the IRI, no type. */
static const char *const plain[] = {
    "Attribute",
    "AttributeList",
    "ContextSourceIdentity",
    "ContextSourceNotification",
    "ContextSourceRegistration",
    "Date",
    "DateTime",
    "EntityType",
    "EntityTypeInfo",
    "EntityTypeList",
    "GeoProperty",
    "JsonProperty",
    "LanguageProperty",
    "ListProperty",
    "ListRelationship",
    "Notification",
    "Property",
    "Relationship",
    "Subscription",
    "TemporalProperty",
    "Time",
    "VocabProperty",
    "accept",
    "attrs",
    "avg",
    "cacheDuration",
    "contextSourceAlias",
    "contextSourceInfo",
    "contextSourceUptime",
    "cooldown",
    "csf",
    "data",
    "detail",
    "distinctCount",
    "endpoint",
    "entities",
    "entity",
    "entityCount",
    "entityList",
    "error",
    "errors",
    "expandValues",
    "format",
    "geoQ",
    "geoproperty",
    "georel",
    "idPattern",
    "information",
    "isActive",
    "join",
    "jsonKeys",
    "jsons",
    "lang",
    "linkedMaps",
    "localOnly",
    "location",
    "management",
    "managementInterval",
    "max",
    "min",
    "mode",
    "ngsildproof",
    "notUpdated",
    "notification",
    "notificationTrigger",
    "notifierInfo",
    "observationInterval",
    "observationSpace",
    "omit",
    "operationSpace",
    "operations",
    "pick",
    "q",
    "reason",
    "receiverInfo",
    "refreshRate",
    "registrationId",
    "registrationName",
    "scope",
    "scopeQ",
    "showChanges",
    "status",
    "stddev",
    "subscriptionName",
    "sum",
    "sumsq",
    "sysAttrs",
    "temporalQ",
    "throttling",
    "timeInterval",
    "timeout",
    "timeproperty",
    "timerel",
    "timesFailed",
    "timesSent",
    "totalCount",
    "triggerReason",
    "unchanged",
    "unitCode",
    "updated",
    "uri",
};

/* Same name as in the IRI, with an @type. */
static const struct {
    const char *type;
    const char *names[18];
} typed[] = {
    {NGSI "DateTime",
     {"contextSourceTimeAt", "createdAt", "deletedAt", "endAt", "endTimeAt", "expiresAt",
      "lastFailure", "lastNotification", "lastSuccess", "modifiedAt", "notifiedAt", "observedAt",
      "startAt", "timeAt"}},
    {"@vocab",
     {"attributeList", "attributeName", "attributeNames", "attributeTypes", "attributes",
      "propertyNames", "relationshipNames", "typeList", "typeName", "typeNames",
      "watchedAttributes"}},
    {"@id", {"datasetId", "entityId", "instanceId", "subscriptionId", "success", "tenant"}},
    {"@json", {"contextSourceExtras"}},
};

/* Terms named otherwise than their IRIs. */
static const struct {
    const char *name, *iri, *type;
} named[] = {
    {"id", "@id", NULL},
    {"type", "@type", NULL},
    {"ngsi-ld", NGSI, NULL},
    {"geojson", GEOJSON, NULL},
    {"Feature", GEOJSON "Feature", NULL},
    {"FeatureCollection", GEOJSON "FeatureCollection", NULL},
    {"GeometryCollection", GEOJSON "GeometryCollection", NULL},
    {"LineString", GEOJSON "LineString", NULL},
    {"MultiLineString", GEOJSON "MultiLineString", NULL},
    {"MultiPoint", GEOJSON "MultiPoint", NULL},
    {"MultiPolygon", GEOJSON "MultiPolygon", NULL},
    {"Point", GEOJSON "Point", NULL},
    {"Polygon", GEOJSON "Polygon", NULL},
    {"bbox", GEOJSON "bbox", NULL},
    {"coordinates", GEOJSON "coordinates", NULL},
    {"features", GEOJSON "features", NULL},
    {"geometry", GEOJSON "geometry", NULL},
    {"geometryProperty", GEOJSON "geometryProperty", NULL},
    {"properties", GEOJSON "properties", NULL},
    {"description", TERMS "description", NULL},
    {"title", TERMS "title", NULL},
    {"containedBy", NGSI "isContainedBy", NULL},
    {"dataset", NGSI "hasDataset", NULL},
    {"entityMap", NGSI "hasEntityMap", NULL},
    {"joinLevel", NGSI "hasJoinLevel", NULL},
    {"json", NGSI "hasJSON", "@json"},
    {"key", NGSI "hasKey", NULL},
    {"langString", "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString", NULL},
    {"languageMap", NGSI "hasLanguageMap", NULL},
    {"languageMaps", NGSI "hasLanguageMaps", NULL},
    {"object", NGSI "hasObject", "@id"},
    {"objectList", NGSI "hasObjectList", NULL},
    {"objectType", NGSI "hasObjectType", "@vocab"},
    {"objects", NGSI "hasObjects", NULL},
    {"objectsLists", NGSI "hasObjectsLists", NULL},
    {"previousJson", NGSI "hasPreviousJson", "@json"},
    {"previousLanguageMap", NGSI "hasPreviousLanguageMap", NULL},
    {"previousObject", NGSI "hasPreviousObject", "@id"},
    {"previousObjectList", NGSI "hasPreviousObjectList", NULL},
    {"previousValue", NGSI "hasPreviousValue", NULL},
    {"previousValueList", NGSI "hasPreviousValueList", NULL},
    {"previousVocab", NGSI "hasPreviousVocab", "@vocab"},
    {"value", NGSI "hasValue", NULL},
    {"valueList", NGSI "hasValueList", NULL},
    {"valueType", NGSI "hasValueType", "@vocab"},
    {"valueLists", NGSI "hasValueLists", NULL},
    {"values", NGSI "hasValues", NULL},
    {"vocab", NGSI "hasVocab", "@vocab"},
    {"vocabs", NGSI "hasVocabs", NULL},
};

static struct ld_context core;
static struct json core_value;
static pthread_once_t core_once = PTHREAD_ONCE_INIT;

static void define_same(const char *name, const char *type)
{
    struct str iri = str_concat(&core.arena, S(NGSI), str_c(name));
    ld_define(&core, (struct ld_term){str_c(name), iri, str_c(type), false});
}

static void build_core(void)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        define_same(plain[i], NULL);
    for (size_t i = 0; i < sizeof(typed) / sizeof(*typed); i++)
        for (const char *const *name = typed[i].names; *name; name++)
            define_same(*name, typed[i].type);
    for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++) {
        struct str iri = str_c(named[i].iri);
        bool prefix = iri.p[iri.n - 1] == '/' || iri.p[iri.n - 1] == '#';
        ld_define(&core, (struct ld_term){str_c(named[i].name), iri, str_c(named[i].type), prefix});
    }
    ld_index(&core);
    core.url = S(LD_CORE_URL);
    core_value = json_v_str(core.url);
    core.value = &core_value;
}

const struct ld_context *ld_core(void)
{
    pthread_once(&core_once, build_core);
    return &core;
}

bool ld_is_core_url(struct str url)
{
    if (str_starts(url, S("https://")))
        url = str_from(url, 8);
    else if (str_starts(url, S("http://")))
        url = str_from(url, 7);
    return str_starts(url, S("uri.etsi.org/ngsi-ld/")) &&
           str_find(url, S("ngsi-ld-core-context")) > 0 && str_ends(url, S(".jsonld"));
}
