/* xlsx.c */
typedef int xlsx_empty;
