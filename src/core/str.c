/* str.c */
typedef int str_empty;
