/* json_write.c */
typedef int json_write_empty;
