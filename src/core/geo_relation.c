/* geo_relation.c */
typedef int geo_relation_empty;
