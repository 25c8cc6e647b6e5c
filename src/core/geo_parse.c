/* geo_parse.c */
typedef int geo_parse_empty;
