/* json_parse.c */
typedef int json_parse_empty;
