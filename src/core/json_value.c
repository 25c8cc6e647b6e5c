/* json_value.c */
typedef int json_value_empty;
