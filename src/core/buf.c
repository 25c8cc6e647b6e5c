/* buf.c */
typedef int buf_empty;
