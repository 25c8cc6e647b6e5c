/* table.c */
typedef int table_empty;
