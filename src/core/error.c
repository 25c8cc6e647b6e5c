/* error.c */
typedef int error_empty;
