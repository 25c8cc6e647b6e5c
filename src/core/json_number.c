/* json_number.c */
typedef int json_number_empty;
